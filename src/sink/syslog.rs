//! The log to a syslog server: RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587), or a local socket.

use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use super::{AuditSink, Delivered, LineFormat, SinkError, SinkForm, line};
use crate::platform::LocalSocket;

/// Bytes of a message that goes as one datagram; a longer one says so instead of what the entry says.
const DATAGRAM: usize = 60_000;
/// How long connecting and each write may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends each entry as a message of RFC 5424.
///
/// What can be lost: **UDP** says nothing about what arrives. A **local socket** (`/dev/log`) has it in the server's queue once
/// it is sent. Over **TCP** what was sent just before the connection broke may not have arrived, and syslog has no
/// acknowledgement that would tell; so after reconnecting, the batch before is sent once more, and its messages can come twice.
/// Each message has the entry's number (`seq`), so a receiver sees gaps and repetitions. Messages are not encrypted on their
/// way: where the network is not trusted, send to a relay on this machine that does that, or in the form [`SinkForm::Sealed`].
///
/// A message of more than 60,000 bytes that would be a datagram goes without what the entry says; its number and leaf say which
/// entry that is.
///
/// ```no_run
/// use chartvault::{Options, SinkForm, SinkPolicy, SyslogSink};
/// let server = SyslogSink::tcp("192.0.2.7:601".parse()?).host("ward-3").form(SinkForm::Pseudonymous);
/// let options = Options::new().sink("syslog", Box::new(server), SinkPolicy::BestEffort)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SyslogSink {
    to: Transport,
    form: SinkForm,
    host: String,
    /// The last batch that was sent over TCP.
    sent: Vec<u8>,
}

enum Transport {
    Udp(SocketAddr, Option<UdpSocket>),
    Tcp(SocketAddr, Option<TcpStream>),
    Local(PathBuf, Option<LocalSocket>),
}

impl SyslogSink {
    const fn new(to: Transport) -> Self {
        Self { to, form: SinkForm::Opened, host: String::new(), sent: Vec::new() }
    }

    /// To a server by UDP, a datagram a message; usually port 514.
    #[must_use]
    pub const fn udp(server: SocketAddr) -> Self {
        Self::new(Transport::Udp(server, None))
    }

    /// To a server by TCP, each message behind its length; usually port 601 or 514.
    #[must_use]
    pub const fn tcp(server: SocketAddr) -> Self {
        Self::new(Transport::Tcp(server, None))
    }

    /// To a local datagram socket, usually `/dev/log`; where there are none (Windows), delivering is an error.
    #[must_use]
    pub fn local(path: impl Into<PathBuf>) -> Self {
        Self::new(Transport::Local(path.into(), None))
    }

    /// In which form entries leave the vault.
    #[must_use]
    pub const fn form(mut self, form: SinkForm) -> Self {
        self.form = form;
        self
    }

    /// What messages say as their host; `-` if not called.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// A message that fits a datagram.
    fn datagram(&self, delivered: &Delivered) -> String {
        let message = LineFormat::Rfc5424.line(delivered, &self.host);
        if message.len() <= DATAGRAM {
            return message;
        }
        line::syslog(delivered, &self.host, "too long for a datagram; the vault's log has it")
    }
}

/// Uses what is connected, connecting first if need be; what failed is not used again.
fn over<C>(
    held: &mut Option<C>,
    connect: impl FnOnce() -> io::Result<C>,
    send: impl FnOnce(&mut C) -> io::Result<()>,
) -> io::Result<()> {
    let mut connection = match held.take() {
        Some(connection) => connection,
        None => connect()?,
    };
    send(&mut connection)?;
    *held = Some(connection);
    Ok(())
}

/// Whether the other side has closed it: writing would succeed once more, into nothing.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 256];
    let read = stream.set_nonblocking(true).and_then(|()| stream.read(&mut byte));
    let back = stream.set_nonblocking(false);
    let open = match read {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    !open || back.is_err()
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&server, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn bound(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect(server)?;
    Ok(socket)
}

impl AuditSink for SyslogSink {
    fn deliver(&mut self, entries: &[Delivered]) -> Result<(), SinkError> {
        if let Transport::Tcp(server, held) = &mut self.to {
            let mut framed = Vec::new();
            for entry in entries {
                let message = LineFormat::Rfc5424.line(entry, &self.host);
                framed.extend_from_slice(format!("{} {message}", message.len()).as_bytes());
            }
            if held.as_mut().is_some_and(is_closed) {
                *held = None;
            }
            let again = if held.is_none() { &*self.sent } else { &[] };
            over(
                held,
                || connect(*server),
                |stream| {
                    stream.write_all(again)?;
                    stream.write_all(&framed)
                },
            )
            .map_err(SinkError::io("sending to the syslog server"))?;
            self.sent = framed;
            return Ok(());
        }
        let messages: Vec<String> = entries.iter().map(|entry| self.datagram(entry)).collect();
        let sent = match &mut self.to {
            Transport::Udp(server, held) => over(
                held,
                || bound(*server),
                |socket| messages.iter().try_for_each(|message| socket.send(message.as_bytes()).map(drop)),
            ),
            Transport::Local(path, held) => over(
                held,
                || LocalSocket::connect(path, PATIENCE),
                |socket| messages.iter().try_for_each(|message| socket.send(message.as_bytes())),
            ),
            Transport::Tcp(..) => Ok(()),
        };
        sent.map_err(SinkError::io("sending to the syslog server"))
    }

    fn form(&self) -> SinkForm {
        self.form
    }
}

impl fmt::Debug for SyslogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = match &self.to {
            Transport::Udp(server, _) => format!("udp {server}"),
            Transport::Tcp(server, _) => format!("tcp {server}"),
            Transport::Local(path, _) => format!("local {}", path.display()),
        };
        f.debug_struct("SyslogSink").field("to", &to).field("form", &self.form).finish_non_exhaustive()
    }
}
