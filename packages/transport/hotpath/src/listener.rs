//! Listening sockets: binds them, accepts from them, and keeps the kernel from pacing what never leaves this machine.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// A congestion control that does not pace, and that every Linux has and lets everybody use.
const UNPACED: &[u8] = b"reno";
/// Those that set a timer for every 64 KiB that they send: two thirds of what a large answer costs where there is no link to spare.
const PACING_PREFIX: &[u8] = b"bbr";
const NAME_MAX_BYTES: usize = 16;
/// Connections that wait to be accepted; net.core.somaxconn bounds it too.
const BACKLOG: libc::c_int = 4096;
/// A connection is accepted with its first bytes, or without any after this time: most of those that are for one request are then read once and never watched.
const DEFERRED_SECONDS: libc::c_int = 1;

pub struct Listener {
    pub number: u32,
    pub port: u16,
    socket: OwnedFd,
    /// What connections from other machines get back, where those from this one do without the system's choice.
    remote_control: Option<Vec<u8>>,
    /// To be given up for a moment when the process may open no more: else who comes then would wait, and wake this thread, for ever.
    spare: Cell<Option<OwnedFd>>,
}

impl Listener {
    pub fn bind(number: u32, address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let socket = OwnedFd::from(listener);
        // Connections inherit it.
        let on = libc::c_int::from(true).to_ne_bytes();
        set_option(socket.as_raw_fd(), libc::TCP_NODELAY, &on)?;
        let seconds = DEFERRED_SECONDS.to_ne_bytes();
        set_option(socket.as_raw_fd(), libc::TCP_DEFER_ACCEPT, &seconds)?;
        // SAFETY: no memory is passed.
        if unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self {
            number,
            port,
            remote_control: spare_pacing(socket.as_raw_fd()),
            spare: Cell::new(spare()),
            socket,
        })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// A connection, and the address of its client, where it has one; undefined when there is none to accept.
    pub fn accept(&self) -> Option<(OwnedFd, Option<IpAddr>)> {
        let mut address = None;
        let fd = with_address(&mut address, |storage, length| {
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            // SAFETY: the address has the length that is passed.
            unsafe { libc::accept4(self.fd(), storage, length, flags) }
        });
        if fd < 0 {
            self.turn_away_if_full();
            return None;
        }
        // SAFETY: accept has just made it, and it has no other owner.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        if let Some(control) = &self.remote_control {
            if !is_of_this_machine(address, fd) {
                let _ = set_option(fd, libc::TCP_CONGESTION, control);
            }
        }
        Some((socket, address))
    }

    /// To be asked after an accept that failed: where that was for want of a descriptor, closes the connection that is next.
    fn turn_away_if_full(&self) {
        let error = io::Error::last_os_error().raw_os_error();
        if !matches!(error, Some(libc::EMFILE | libc::ENFILE)) {
            return;
        }
        drop(self.spare.take());
        let none = std::ptr::null_mut();
        // SAFETY: no address is asked for.
        let fd =
            unsafe { libc::accept4(self.fd(), none, std::ptr::null_mut(), libc::SOCK_CLOEXEC) };
        if fd >= 0 {
            // SAFETY: accept has just made it, and it has no other owner.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        self.spare.set(spare());
    }
}

/// Keeps a descriptor; undefined when none is to be had.
fn spare() -> Option<OwnedFd> {
    File::open("/dev/null").ok().map(OwnedFd::from)
}

/// Lets connections that are accepted here start without pacing. The name of what paced them, undefined when nothing did or it could not be had back:
/// a connection that has once been paced stays so, whatever it gets later.
fn spare_pacing(listener: RawFd) -> Option<Vec<u8>> {
    let before = congestion_control(listener)?;
    if !before.starts_with(PACING_PREFIX) {
        return None;
    }
    let set = |name: &[u8]| set_option(listener, libc::TCP_CONGESTION, name);
    set(&before).and_then(|()| set(UNPACED)).ok()?;
    Some(before)
}

fn congestion_control(socket: RawFd) -> Option<Vec<u8>> {
    let mut name = [0_u8; NAME_MAX_BYTES];
    let mut length = name.len() as libc::socklen_t;
    // SAFETY: the name has the length that is passed.
    let status = unsafe {
        libc::getsockopt(
            socket,
            libc::IPPROTO_TCP,
            libc::TCP_CONGESTION,
            name.as_mut_ptr().cast(),
            &mut length,
        )
    };
    let text = name.split(|byte| *byte == 0).next()?;
    (status == 0 && !text.is_empty()).then(|| text.to_vec())
}

pub fn set_option(socket: RawFd, option: libc::c_int, value: &[u8]) -> io::Result<()> {
    let length = value.len() as libc::socklen_t;
    // SAFETY: the value is as long as said.
    let status = unsafe {
        libc::setsockopt(
            socket,
            libc::IPPROTO_TCP,
            option,
            value.as_ptr().cast(),
            length,
        )
    };
    if status < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn is_of_this_machine(remote: Option<IpAddr>, socket: RawFd) -> bool {
    let loopback = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    remote.is_some_and(|remote| loopback.contains(&remote) || Some(remote) == local_address(socket))
}

fn local_address(socket: RawFd) -> Option<IpAddr> {
    let mut address = None;
    with_address(&mut address, |storage, length| {
        // SAFETY: the address has the length that is passed.
        unsafe { libc::getsockname(socket, storage, length) }
    });
    address
}

/// What `call` answers, which writes an address.
fn with_address(
    address: &mut Option<IpAddr>,
    call: impl FnOnce(*mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int,
) -> libc::c_int {
    // SAFETY: an address of zeros is a valid value.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    let answer = call((&raw mut storage).cast(), &mut length);
    let pointer: *const libc::sockaddr_storage = &storage;
    *address = match libc::c_int::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is one.
            let v4 = unsafe { &*pointer.cast::<libc::sockaddr_in>() };
            Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that it is one.
            let v6 = unsafe { &*pointer.cast::<libc::sockaddr_in6>() };
            Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
        }
        _ => None,
    };
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::TcpStream;

    fn control_of(socket: RawFd) -> String {
        String::from_utf8(congestion_control(socket).unwrap()).unwrap()
    }

    #[test]
    fn a_connection_within_the_machine_is_never_paced() {
        let listener = Listener::bind(0, "127.0.0.1:0".parse().unwrap()).unwrap();
        let mut client = TcpStream::connect(("127.0.0.1", listener.port)).unwrap();
        client.write_all(b"x").unwrap();
        let (socket, address) = std::iter::repeat_with(|| listener.accept())
            .find_map(|accepted| accepted)
            .unwrap();
        assert_eq!(address, Some(Ipv4Addr::LOCALHOST.into()));
        assert!(!control_of(socket.as_raw_fd()).starts_with("bbr"));
        drop(client);
    }

    #[test]
    fn one_from_elsewhere_gets_what_the_system_chose() {
        // A client at another of the machine's own addresses stands for one from elsewhere.
        let listener = Listener::bind(0, "127.0.0.1:0".parse().unwrap()).unwrap();
        let system = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap();
        let mut client = TcpStream::from(connect_from([127, 0, 0, 9], listener.port));
        client.write_all(b"x").unwrap();
        let (socket, address) = std::iter::repeat_with(|| listener.accept())
            .find_map(|accepted| accepted)
            .unwrap();
        assert_eq!(address, Some(Ipv4Addr::new(127, 0, 0, 9).into()));
        assert_eq!(control_of(socket.as_raw_fd()), system.trim());
        drop(client);
    }

    fn connect_from(source: [u8; 4], port: u16) -> OwnedFd {
        let address = |ip: [u8; 4], port: u16| {
            // SAFETY: an address of zeros is a valid value.
            let mut v4: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            v4.sin_family = libc::AF_INET as libc::sa_family_t;
            v4.sin_addr.s_addr = u32::from_ne_bytes(ip);
            v4.sin_port = port.to_be();
            v4
        };
        let (from, to) = (address(source, 0), address([127, 0, 0, 1], port));
        let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        // SAFETY: the addresses are as long as said, and the socket is new.
        unsafe {
            let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0);
            assert_eq!(libc::bind(fd, (&raw const from).cast(), length), 0);
            assert_eq!(libc::connect(fd, (&raw const to).cast(), length), 0);
            OwnedFd::from_raw_fd(fd)
        }
    }
}
