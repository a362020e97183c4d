//! The command `torture`; see the library.

use std::process::ExitCode;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn main() -> ExitCode {
    torture::command::main()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
fn main() -> ExitCode {
    eprintln!("torture needs Linux on x86-64: it works through ptrace. Nothing was tried.");
    ExitCode::from(2)
}
