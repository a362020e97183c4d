//! Which serde attributes a type in a record may have: those that leave the written bytes as the type says.

use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Meta, Result, Token};

/// Names are not written, so renaming changes nothing; the others steer how the code is made.
const HARMLESS: [&str; 10] = [
    "alias",
    "bound",
    "crate",
    "default",
    "deny_unknown_fields",
    "expecting",
    "rename",
    "rename_all",
    "rename_all_fields",
    "transparent",
];

pub(crate) fn check(attributes: &[Attribute]) -> Result<()> {
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("serde")) {
        for item in attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)? {
            let path = item.path();
            if !HARMLESS.iter().any(|name| path.is_ident(name)) {
                let name = path.get_ident().map_or_else(|| "this".to_owned(), |ident| format!("`{ident}`"));
                return Err(Error::new_spanned(
                    &item,
                    format!(
                        "{name} of serde is not possible in a record: what is written would no longer follow the \
                         type, and could not be read back"
                    ),
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_attributes_pass() {
        let refused = |text: &str| {
            let item: syn::ItemStruct = syn::parse_str(&format!("#[serde({text})] struct S;")).unwrap();
            check(&item.attrs).is_err()
        };
        for text in ["rename = \"a\"", "rename_all = \"camelCase\", deny_unknown_fields", "default", "crate = \"s\""] {
            assert!(!refused(text), "{text}");
        }
        for text in [
            "skip",
            "skip_serializing",
            "skip_deserializing",
            "skip_serializing_if = \"Option::is_none\"",
            "flatten",
            "untagged",
            "tag = \"t\"",
            "tag = \"t\", content = \"c\"",
            "with = \"m\"",
            "serialize_with = \"f\"",
            "deserialize_with = \"f\"",
            "from = \"T\"",
            "try_from = \"T\"",
            "into = \"T\"",
            "remote = \"T\"",
            "other",
            "borrow",
            "rename = \"a\", skip",
            "an_attribute_of_the_future",
        ] {
            assert!(refused(text), "{text}");
        }
    }
}
