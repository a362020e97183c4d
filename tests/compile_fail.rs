//! What must not compile, and what the compiler then says. After a wanted change: `TRYBUILD=overwrite cargo test`.
#![cfg(feature = "derive")]

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
