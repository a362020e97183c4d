//! Registers and memory of a stopped thread.

use std::io;
use std::mem::MaybeUninit;

/// The registers; `None` once the thread is gone.
pub(super) fn registers(tid: i32) -> Option<libc::user_regs_struct> {
    let mut registers = MaybeUninit::<libc::user_regs_struct>::uninit();
    // SAFETY: the kernel fills the structure if it answers 0.
    unsafe {
        (libc::ptrace(libc::PTRACE_GETREGS, tid, 0, registers.as_mut_ptr()) == 0).then(|| registers.assume_init())
    }
}

/// What the call that just ended answered.
pub(super) fn result(tid: i32) -> Option<i64> {
    registers(tid).map(|registers| registers.rax as i64)
}

/// Lets the call at which the thread stands not happen, and fail instead.
pub(super) fn skip_call(tid: i32, errno: i32) -> io::Result<()> {
    let Some(mut registers) = registers(tid) else { return Ok(()) };
    registers.orig_rax = u64::MAX;
    registers.rax = i64::from(-errno) as u64;
    // SAFETY: a plain system call; the structure outlives it.
    if unsafe { libc::ptrace(libc::PTRACE_SETREGS, tid, 0, &raw const registers) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// `len` bytes of the thread's memory; fewer where that ends.
pub(super) fn bytes(tid: i32, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: len };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: len };
    // SAFETY: the kernel writes at most `len` bytes into our buffer.
    let read = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    bytes.truncate(usize::try_from(read).unwrap_or(0));
    bytes
}

/// A text that ends with a zero, at most 4,096 bytes.
pub(super) fn text(tid: i32, address: u64) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < 4_096 {
        // Never across a page: the next one may not be there.
        let at = address + text.len() as u64;
        let piece = bytes(tid, at, (4_096 - at as usize % 4_096).min(256));
        let Some(end) = piece.iter().position(|byte| *byte == 0) else {
            if piece.is_empty() {
                break;
            }
            text.extend(piece);
            continue;
        };
        text.extend(&piece[..end]);
        break;
    }
    text
}
