//! `impl Record` from `#[record(kind = "…", version = N, previous = …)]`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::spanned::Spanned;
use syn::{DeriveInput, Error, Ident, LitInt, LitStr, Path, Result};

use crate::fields;

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    let Declared { kind, version, previous, shape } = Declared::of(input)?;
    let shaped = fields::derive(input)?;
    let ident = &input.ident;
    let (type_before, past) = match &previous {
        None => (quote!(::chartvault::NoPrevious), quote!(::chartvault::__private::Past::none())),
        // With its span, so that the compiler points at the type which is not a record or has no successor.
        Some(previous) => {
            (previous.to_token_stream(), quote_spanned!(previous.span()=> ::chartvault::__private::Past::previous()))
        }
    };
    let rules = previous
        .iter()
        .map(|previous| follows(ident, previous, version))
        .chain(shape.iter().map(|shape| keeps_shape(ident, shape, version)));
    Ok(quote! {
        #shaped

        #(#rules)*

        #[automatically_derived]
        impl ::chartvault::Record for #ident {
            const KIND: &'static str = #kind;
            const VERSION: u16 = #version;
            type Previous = #type_before;
            const PAST: ::chartvault::__private::Past<Self> = #past;
            const DERIVED: ::chartvault::__private::Derived = ::chartvault::__private::Derived;
        }
    })
}

/// The previous version is of the same kind, and its version is one less: a gap would be a version that was forgotten.
fn follows(ident: &Ident, previous: &Path, version: u16) -> TokenStream {
    let name = previous.to_token_stream().to_string().replace(' ', "");
    let before = version.saturating_sub(1);
    let kind = format!("`{name}` is of another kind than `{ident}`: the versions of a record type have one kind");
    let order = format!("`{ident}` is version {version}, so its previous type `{name}` must be version {before}");
    quote_spanned! {previous.span()=>
        const _: () = {
            ::core::assert!(
                ::chartvault::__private::same_kind(
                    <#ident as ::chartvault::Record>::KIND,
                    <#previous as ::chartvault::Record>::KIND,
                ),
                "{}",
                #kind,
            );
            ::core::assert!(<#previous as ::chartvault::Record>::VERSION == #before, "{}", #order);
        };
    }
}

/// The type looks as it did when values of it were stored.
fn keeps_shape(ident: &Ident, shape: &LitInt, version: u16) -> TokenStream {
    let changed = format!(
        "`{ident}`, or a type inside it, does not have the shape {shape} any more, in which values of version {version} \
         are stored: undo the change and make it in a new version, with types of its own"
    );
    quote_spanned! {shape.span()=>
        const _: () = ::core::assert!(
            ::core::primitive::u64::from_be_bytes(<#ident as ::chartvault::Shaped>::SHAPE.to_bytes()) == #shape,
            "{}",
            #changed,
        );
    }
}

/// What `#[record(…)]` says.
struct Declared {
    kind: String,
    version: u16,
    previous: Option<Path>,
    shape: Option<LitInt>,
}

impl Declared {
    fn of(input: &DeriveInput) -> Result<Self> {
        let mut kind = None;
        let mut version = None;
        let mut previous = None;
        let mut shape = None;
        for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("record")) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("kind") {
                    let text = meta.value()?.parse()?;
                    once(&mut kind, parse_kind(&text)?, text.span())
                } else if meta.path.is_ident("version") {
                    let number = meta.value()?.parse()?;
                    once(&mut version, parse_version(&number)?, number.span())
                } else if meta.path.is_ident("previous") {
                    let path = parse_previous(meta.value()?)?;
                    let span = path.span();
                    once(&mut previous, path, span)
                } else if meta.path.is_ident("shape") {
                    let number: LitInt = meta.value()?.parse()?;
                    let span = number.span();
                    once(&mut shape, parse_shape(number)?, span)
                } else {
                    Err(meta.error("`#[record(…)]` knows `kind`, `version`, `previous` and `shape`"))
                }
            })?;
        }
        let missing = |what| {
            Error::new(Span::call_site(), format!("{what} is missing: write `#[record(kind = \"…\", version = 1)]`"))
        };
        let kind = kind.ok_or_else(|| missing("the record's kind"))?;
        let version = version.ok_or_else(|| missing("the record's version"))?;
        match &previous {
            Some(previous) if version == 1 => Err(Error::new_spanned(previous, "version 1 has no previous version")),
            _ => Ok(Self { kind, version, previous, shape }),
        }
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

fn parse_previous(input: ParseStream<'_>) -> Result<Path> {
    if input.peek(LitStr) {
        return Err(input.error("`previous` names a type, without quotation marks: `previous = AllergyV1`"));
    }
    input.parse()
}

fn parse_shape(literal: LitInt) -> Result<LitInt> {
    match literal.base10_parse::<u64>() {
        Ok(_) => Ok(literal),
        Err(_) => Err(Error::new(literal.span(), "a shape is a number of 64 bits: 0x and the text of `Shaped::SHAPE`")),
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
            ("#[record(kind = \"a\", version = 1, next = New)]", "knows `kind`, `version`, `previous` and `shape`"),
            ("#[record(kind = \"a\", version = 1, previous = Old)]", "version 1 has no previous version"),
            ("#[record(kind = \"a\", version = 2, previous = \"Old\")]", "without quotation marks"),
            ("#[record(kind = \"a\", version = 2, previous = Old, previous = Old)]", "said before"),
            ("#[record(kind = \"a\", version = 2, shape = 0x10000000000000000)]", "64 bits"),
            ("#[record(kind = \"a\", version = 2, shape = 1, shape = 1)]", "said before"),
        ] {
            let refused = declared(attributes).unwrap_err();
            assert!(refused.contains(reason), "{attributes}: {refused}");
        }
    }
}
