//! A receive call that also says when the kernel received the bytes.
//!
//! With `SO_TIMESTAMPNS` the kernel notes the wall time at which a segment came from the device,
//! and for TCP tells that of the last byte a call returns. What is handed on is an age: the wall
//! clock read right behind the call, less the stamp. So nobody has to map one clock to another,
//! and only a step of the wall clock between arrival and call can be wrong; who asks bounds that
//! by what else it knows. Bytes before the last one may have waited longer than the age says.
//!
//! Cost: the call is `recvmsg` instead of `recv`, one system call as before, and a reading of the
//! wall clock through the vDSO for each that brought bytes. Over loopback 0.20 us more a call than
//! the 0.52 of `recv`, of which 0.12 are `recvmsg` (EPYC of family 26, Linux 6.18, 2026-11-30,
//! `latency --only receive`).

use std::io;
use std::os::fd::AsRawFd;

use super::tcp::set_option;

/// Room for one control message with a `timespec`, and some to spare; aligned as `cmsghdr` wants.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// Asks the kernel to stamp what `socket` receives from now on; it begins a moment later.
///
/// # Errors
/// What the system says where it has no such stamps.
pub fn ask_for_stamps(socket: &impl AsRawFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Receives into `out` without waiting: how many bytes, and for how long the kernel had had the
/// last of them, nanoseconds, where it told and the wall clock did not run backwards meanwhile.
///
/// # Errors
/// What the system says, `WouldBlock` where nothing has come.
pub fn receive(socket: &impl AsRawFd, out: &mut [u8]) -> io::Result<(usize, Option<u64>)> {
    let mut piece = libc::iovec { iov_base: out.as_mut_ptr().cast(), iov_len: out.len() };
    let mut control = Control([0; 64]);
    // SAFETY: `msghdr` is a C struct of integers and pointers, for which all zeros are a value: no
    // address, no pieces, no control messages.
    let mut message: libc::msghdr = unsafe { core::mem::zeroed() };
    message.msg_iov = &raw mut piece;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control.0).cast();
    message.msg_controllen = control.0.len();
    // SAFETY: the descriptor is open while `socket` is borrowed; `message` points to one piece,
    // which is all of `out`, and to `control`, with their lengths; all of them are borrowed or
    // owned here until the call is over, and the kernel keeps none of the pointers.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let Ok(n) = usize::try_from(n) else { return Err(io::Error::last_os_error()) };
    let waited = if n > 0 { stamp_of(&message).and_then(age) } else { None };
    Ok((n, waited))
}

/// The receive stamp among the control messages that the kernel filled in.
fn stamp_of(message: &libc::msghdr) -> Option<libc::timespec> {
    // SAFETY: `message` is what `recvmsg` filled in: its control pointer and length describe
    // initialised bytes that live as long as the borrow, which is all that this macro's twin reads.
    let mut at = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !at.is_null() {
        // SAFETY: a header that the macros return lies wholly within the control bytes, aligned.
        let head = unsafe { &*at };
        if head.cmsg_level == libc::SOL_SOCKET && head.cmsg_type == libc::SCM_TIMESTAMPNS {
            // SAFETY: the data of this type is a `timespec` behind the header, and the kernel
            // writes a message whole or not at all; read without asking for its alignment.
            return Some(unsafe { libc::CMSG_DATA(at).cast::<libc::timespec>().read_unaligned() });
        }
        // SAFETY: as for the first; `at` is a header of `message`.
        at = unsafe { libc::CMSG_NXTHDR(message, at) };
    }
    None
}

/// How long ago `stamp` was by the wall clock.
fn age(stamp: libc::timespec) -> Option<u64> {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a live `timespec` of which the call fills both fields.
    if unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) } != 0 {
        return None;
    }
    let ns = |t: libc::timespec| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec);
    u64::try_from(ns(now) - ns(stamp)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// Both ends of a connection, the second stamped.
    fn pair() -> (TcpStream, TcpStream) {
        #[expect(clippy::disallowed_methods, reason = "the transport's own seam")]
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        #[expect(clippy::disallowed_methods, reason = "the transport's own seam")]
        let sender = TcpStream::connect(address).expect("connected");
        let (receiver, _) = listener.accept().expect("accepted");
        receiver.set_nonblocking(true).expect("set");
        ask_for_stamps(&receiver).expect("set");
        (sender, receiver)
    }

    fn pause(ms: u64) {
        std::thread::park_timeout(Duration::from_millis(ms));
    }

    /// Receives once something is there.
    fn next(socket: &TcpStream, out: &mut [u8]) -> (usize, Option<u64>) {
        for _ in 0..2_000 {
            match receive(socket, out) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => pause(1),
                other => return other.expect("received"),
            }
        }
        panic!("nothing came in two seconds");
    }

    /// Coordinated omission is what a reader's own stamp would hide here: it was late, and what
    /// came meanwhile has waited all that time.
    #[test]
    fn what_waits_while_nobody_reads_has_waited() {
        let (mut sender, receiver) = pair();
        let mut out = [0; 64];
        // The kernel begins to stamp a moment after the first socket asks for it.
        for _ in 0..100 {
            sender.write_all(b"first").expect("sent");
            if next(&receiver, &mut out).1.is_some() {
                break;
            }
            pause(5);
        }
        sender.write_all(b"late").expect("sent");
        pause(60);
        let (n, waited) = next(&receiver, &mut out);
        assert_eq!(&out[..n], b"late");
        let waited = waited.expect("the kernel stamps");
        assert!((50_000_000..10_000_000_000).contains(&waited), "{waited}");
        // At once, it has not: of many tries one is not disturbed.
        let quickest = (0..50).filter_map(|_| {
            sender.write_all(b"now").expect("sent");
            next(&receiver, &mut out).1
        });
        assert!(quickest.min().expect("stamped") < 40_000_000);
    }

    #[test]
    fn an_end_and_an_empty_socket_have_no_stamp() {
        let (sender, receiver) = pair();
        let empty = receive(&receiver, &mut [0; 8]).expect_err("nothing has come");
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(sender);
        assert_eq!(next(&receiver, &mut [0; 8]), (0, None));
    }
}
