//! Types that contain themselves. The compiler refuses every one, since their shape is a constant that needs itself;
//! the plain case gets an error here that says what to do.

use syn::{Error, GenericArgument, Ident, PathArguments, Result, Type};

pub(crate) fn check(owner: &Ident, ty: &Type) -> Result<()> {
    match ty {
        Type::Array(array) => check(owner, &array.elem),
        Type::Group(group) => check(owner, &group.elem),
        Type::Paren(paren) => check(owner, &paren.elem),
        Type::Tuple(tuple) => tuple.elems.iter().try_for_each(|item| check(owner, item)),
        Type::Path(path) => {
            if path.path.get_ident().is_some_and(|ident| ident == owner || ident == "Self") {
                return Err(Error::new_spanned(
                    ty,
                    "a type in a record cannot contain itself, since its values could be nested without end: \
                     keep the items in one list and let them refer to each other by number",
                ));
            }
            let Some(last) = path.path.segments.last() else { return Ok(()) };
            // A reference to a record of the same kind contains only its number.
            if last.ident == "RecordId" {
                return Ok(());
            }
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return Ok(()) };
            arguments.args.iter().try_for_each(|argument| match argument {
                GenericArgument::Type(ty) => check(owner, ty),
                _ => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use quote::format_ident;

    use super::*;

    #[test]
    fn the_owner_is_found_at_any_depth_and_not_behind_a_record_id() {
        let refused = |text: &str| check(&format_ident!("Node"), &syn::parse_str(text).unwrap()).is_err();
        for text in ["Node", "Self", "Option<Box<Node>>", "BTreeMap<u8, Vec<Node>>", "[(u8, Node); 2]"] {
            assert!(refused(text), "{text}");
        }
        for text in ["Other", "other::Node", "RecordId<Node>", "Option<chartvault::RecordId<Node>>", "[u8; 4]"] {
            assert!(!refused(text), "{text}");
        }
    }
}
