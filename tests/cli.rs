fn main() { println!("{}", env!("CARGO_BIN_EXE_chartvault")); }
#[test] fn t() { main() }
