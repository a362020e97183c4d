//! `impl Shaped`: hands names and types of fields and variants to the const functions of `chartvault`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Error, Fields, Ident, Result};

use crate::{recursion, serde_rules};

pub(crate) fn derive(input: &DeriveInput) -> Result<TokenStream> {
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "a type in a record cannot be generic, since what is stored is one type for ever: write one for each use",
        ));
    }
    serde_rules::check(&input.attrs)?;
    let shape = match &input.data {
        Data::Struct(data) => {
            let fields = describe(&input.ident, &data.fields)?;
            quote!(::chartvault::__private::structure(#fields))
        }
        Data::Enum(data) => {
            let variants = data.variants.iter().map(|variant| {
                serde_rules::check(&variant.attrs)?;
                let name = variant.ident.unraw().to_string();
                let fields = describe(&input.ident, &variant.fields)?;
                Ok(quote!((#name, #fields)))
            });
            let variants = variants.collect::<Result<Vec<_>>>()?;
            quote!(::chartvault::__private::enumeration(&[#(#variants),*]))
        }
        Data::Union(data) => {
            return Err(Error::new(data.union_token.span(), "a union cannot be part of a record: use an enum"));
        }
    };
    let ident = &input.ident;
    Ok(quote! {
        #[automatically_derived]
        impl ::chartvault::Shaped for #ident {
            const SHAPE: ::chartvault::Shape = #shape;
        }

        // Has the compiler judge the shape here, where the type stands, and not at its first use.
        const _: ::chartvault::Shape = <#ident as ::chartvault::Shaped>::SHAPE;
    })
}

fn describe(owner: &Ident, fields: &Fields) -> Result<TokenStream> {
    let mut shapes = Vec::new();
    for field in fields {
        serde_rules::check(&field.attrs)?;
        recursion::check(owner, &field.ty)?;
        let ty = &field.ty;
        let shape = quote_spanned!(ty.span()=> <#ty as ::chartvault::Shaped>::SHAPE);
        shapes.push(match &field.ident {
            Some(name) => {
                let name = name.unraw().to_string();
                quote!((#name, #shape))
            }
            None => shape,
        });
    }
    Ok(match fields {
        Fields::Unit => quote!(::chartvault::__private::Fields::Unit),
        Fields::Unnamed(_) => quote!(::chartvault::__private::Fields::Tuple(&[#(#shapes),*])),
        Fields::Named(_) => quote!(::chartvault::__private::Fields::Named(&[#(#shapes),*])),
    })
}
