//! `impl Record` from `#[record(kind = "…", version = N)]`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{DeriveInput, Error, LitInt, LitStr, Result};

use crate::fields;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Declared { kind, version } = Declared::of(input)?;
    let shaped = fields::derive(input)?;
    let ident = &input.ident;
    Ok(quote! {
        #shaped

        #[automatically_derived]
        impl ::chartvault::Record for #ident {
            const KIND: &'static str = #kind;
            const VERSION: u16 = #version;
            const DERIVED: ::chartvault::__private::Derived = ::chartvault::__private::Derived;
        }
    })
}

/// What `#[record(…)]` says.
struct Declared {
    kind: String,
    version: u16,
}

impl Declared {
    fn of(input: &DeriveInput) -> Result<Self> {
        let mut kind = None;
        let mut version = None;
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("kind") {
                    let text = meta.value()?.parse()?;
                    once(&mut kind, parse_kind(&text)?, text.span())
                } else if meta.path.is_ident("version") {
                    let number = meta.value()?.parse()?;
                    once(&mut version, parse_version(&number)?, number.span())
                } else {
                    Err(meta.error("`#[record(…)]` knows `kind` and `version`"))
                }
            })?;
        }
        let missing = |what| {
            Error::new(Span::call_site(), format!("{what} is missing: write `#[record(kind = \"…\", version = 1)]`"))
        };
        Ok(Self {
            kind: kind.ok_or_else(|| missing("the record's kind"))?,
            version: version.ok_or_else(|| missing("the record's version"))?,
        })
    }
}

fn once<T>(place: &mut Option<T>, value: T, span: Span) -> Result<()> {
    if place.replace(value).is_some() {
        return Err(Error::new(span, "this was said before"));
    }
    Ok(())
}

/// The rule of `chartvault::Kind`, which stands above this crate and cannot be asked.
fn parse_kind(literal: &LitStr) -> Result<String> {
    let kind = literal.value();
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if kind.is_empty() || kind.len() > 64 || !kind.bytes().all(sound) {
        return Err(Error::new(
            literal.span(),
            "the name of a kind has 1 to 64 characters, each one of A-Z a-z 0-9 . _ -",
        ));
    }
    Ok(kind)
}

fn parse_version(literal: &LitInt) -> Result<u16> {
    match literal.base10_parse() {
        Ok(0) | Err(_) => Err(Error::new(literal.span(), "a record's version is 1 to 65535")),
        Ok(version) => Ok(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(attributes: &str) -> std::result::Result<(String, u16), String> {
        let input = syn::parse_str(&format!("{attributes} struct S;")).unwrap();
        Declared::of(&input).map(|declared| (declared.kind, declared.version)).map_err(|error| error.to_string())
    }

    #[test]
    fn kind_and_version_are_read() {
        assert_eq!(declared("#[record(kind = \"a.B_c-1\", version = 65535)]"), Ok(("a.B_c-1".into(), 65535)));
        assert_eq!(declared("#[record(version = 1)] #[record(kind = \"a\")]"), Ok(("a".into(), 1)));
    }

    #[test]
    fn everything_else_is_refused_with_the_reason() {
        let long = format!("#[record(kind = \"{}\", version = 1)]", "k".repeat(65));
        for (attributes, reason) in [
            ("", "the record's kind is missing"),
            ("#[record(kind = \"a\")]", "the record's version is missing"),
            ("#[record(version = 1)]", "the record's kind is missing"),
            ("#[record(kind = \"a\", version = 0)]", "1 to 65535"),
            ("#[record(kind = \"a\", version = 65536)]", "1 to 65535"),
            ("#[record(kind = \"a\", version = -1)]", "1 to 65535"),
            ("#[record(kind = \"\", version = 1)]", "1 to 64 characters"),
            ("#[record(kind = \"a b\", version = 1)]", "1 to 64 characters"),
            (&long, "1 to 64 characters"),
            ("#[record(kind = \"a\", kind = \"b\", version = 1)]", "said before"),
            ("#[record(kind = \"a\", version = 1, previous = Old)]", "knows `kind` and `version`"),
        ] {
            let refused = declared(attributes).unwrap_err();
            assert!(refused.contains(reason), "{attributes}: {refused}");
        }
    }
}
