//! The process that holds a pod's namespaces open: it reaps orphans and ends on SIGTERM or SIGINT.
//!
//! Freestanding and static, so that its image is a few kilobytes and needs no libc. Signals are blocked and taken
//! synchronously; with nothing to do it sleeps in the kernel for ever. x86-64 and arm64 Linux.

#![no_std]
#![no_main]

use core::arch::{asm, global_asm};

#[cfg(target_arch = "x86_64")]
mod nr {
    pub const RT_SIGPROCMASK: usize = 14;
    pub const WAIT4: usize = 61;
    pub const RT_SIGTIMEDWAIT: usize = 128;
    pub const EXIT_GROUP: usize = 231;
}
#[cfg(target_arch = "aarch64")]
mod nr {
    pub const RT_SIGPROCMASK: usize = 135;
    pub const WAIT4: usize = 260;
    pub const RT_SIGTIMEDWAIT: usize = 137;
    pub const EXIT_GROUP: usize = 94;
}

const SIGINT: usize = 2;
const SIGTERM: usize = 15;
const SIGCHLD: usize = 17;
const SIG_BLOCK: usize = 0;
const WNOHANG: usize = 1;

#[cfg(target_arch = "x86_64")]
global_asm!(".globl _start", "_start:", "and rsp, -16", "call {main}", main = sym main);
#[cfg(target_arch = "aarch64")]
global_asm!(".globl _start", "_start:", "bl {main}", main = sym main);

/// A system call with four arguments.
///
/// # Safety
/// The arguments must be valid for the call `n`.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments; rcx and r11 are what the kernel clobbers.
    unsafe {
        asm!("syscall", inlateout("rax") n => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
             lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// A system call with four arguments.
///
/// # Safety
/// The arguments must be valid for the call `n`.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall(n: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    let result: isize;
    // SAFETY: the caller vouches for the arguments.
    unsafe {
        asm!("svc 0", in("x8") n, inlateout("x0") a => result, in("x1") b, in("x2") c, in("x3") d, options(nostack));
    }
    result
}

extern "C" fn main() -> ! {
    let set: u64 = 1 << (SIGINT - 1) | 1 << (SIGTERM - 1) | 1 << (SIGCHLD - 1);
    let set_at = &raw const set as usize;
    // SAFETY: `set` outlives the calls and is as long as the size given; null pointers are allowed where passed.
    unsafe {
        syscall(nr::RT_SIGPROCMASK, SIG_BLOCK, set_at, 0, 8);
        loop {
            let signal = syscall(nr::RT_SIGTIMEDWAIT, set_at, 0, 0, 8);
            if signal == SIGINT as isize || signal == SIGTERM as isize {
                syscall(nr::EXIT_GROUP, 0, 0, 0, 0);
            }
            while syscall(nr::WAIT4, usize::MAX, 0, WNOHANG, 0) > 0 {}
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
