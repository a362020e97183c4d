//! Asks the stores over HTTP, with `ureq`, on the thread that asks.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error};
use ureq::http::{HeaderValue, Method, Request, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, BodyReader};

/// Bytes of the longest answer that is read: an object, or a page of a list.
const LONGEST_ANSWER: u64 = 24 << 20;
/// Bytes that are read at once.
const CHUNK: usize = 128 << 10;
const CONNECT: Duration = Duration::from_secs(10);
/// How long nothing may move on a connection, or no answer come.
const SILENCE: Duration = Duration::from_secs(60);

/// How the last request went that this thread made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// None was made.
    Unasked,
    /// There was no connection.
    Unconnected,
    /// There was no answer, or not all of it.
    Lost,
    /// It was answered with this status.
    Answered(u16),
    /// It was not sent, as it would not have been encrypted, say; or the answer is none.
    Unfit,
}

impl Went {
    pub(super) const fn status(self) -> Option<u16> {
        if let Self::Answered(status) = self { Some(status) } else { None }
    }

    pub(super) const fn is_lost(self) -> bool {
        matches!(self, Self::Lost | Self::Unconnected)
    }

    /// Whether the store may have done what it did not say it has.
    pub(super) const fn may_have_arrived(self) -> bool {
        matches!(self, Self::Lost | Self::Answered(500..))
    }

    /// Whether the store says that it was asked for something only if it is not there, and that it is.
    pub(super) const fn is_precondition(self) -> bool {
        matches!(self, Self::Answered(304 | 412))
    }
}

thread_local! {
    static LAST: Cell<Went> = const { Cell::new(Went::Unasked) };
}

/// Before something is asked.
pub(super) fn forget() {
    LAST.set(Went::Unasked);
}

pub(super) fn last() -> Went {
    LAST.get()
}

/// The error of an answer that was shorter than it said.
pub(super) fn cut_short() -> Error {
    LAST.set(Went::Lost);
    Error::Generic { store: "backup", source: "the answer ended before the object did".into() }
}

/// The error of an answer that nobody could make sense of.
pub(super) fn unreadable() -> Error {
    LAST.set(Went::Unfit);
    Error::Generic { store: "backup", source: "the answer cannot be read".into() }
}

/// How stores are asked.
pub(super) struct Connector {
    pub(super) roots: Option<Vec<Certificate<'static>>>,
    pub(super) timeout: Duration,
    /// Whether objects are sent with their MD5: S3 takes nothing without it into a bucket with locks.
    pub(super) with_md5: bool,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient, Error> {
        let roots = self.roots.as_ref().map_or(RootCerts::WebPki, |roots| RootCerts::new_with_certs(roots));
        let configured = || {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .timeout_global(Some(self.timeout))
                .timeout_connect(Some(CONNECT.min(self.timeout)))
                .timeout_per_read(Some(SILENCE.min(self.timeout)))
                .timeout_per_write(Some(SILENCE.min(self.timeout)))
                .timeout_recv_response(Some(SILENCE.min(self.timeout)))
                .tls_config(TlsConfig::builder().root_certs(roots.clone()).build())
                .user_agent(concat!("chartvault/", env!("CARGO_PKG_VERSION")))
        };
        let far = configured().https_only(true).build().into();
        let near = configured().proxy(None).build().into();
        Ok(HttpClient::new(Asker { far, near, with_md5: self.with_md5 }))
    }
}

#[derive(Debug)]
struct Asker {
    far: Agent,
    /// For this machine itself and the one that it runs on, which need no encryption, and no proxy.
    near: Agent,
    with_md5: bool,
}

impl HttpService for Asker {
    // As `async_trait` has it: the answer is there when this returns.
    fn call<'s, 'a>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'a>>
    where
        's: 'a,
        Self: 'a,
    {
        Box::pin(std::future::ready(self.ask(request)))
    }
}

impl Asker {
    fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (mut parts, body) = request.into_parts();
        let agent = if is_near(&parts.uri) { &self.near } else { &self.far };
        let has_body = !matches!(parts.method, Method::GET | Method::HEAD | Method::DELETE);
        let answer = if has_body {
            let bytes = whole(body)?;
            if self.with_md5 && parts.method == Method::PUT {
                parts.headers.insert("content-md5", md5_of(&bytes)?);
            }
            agent.run(Request::from_parts(parts, &bytes[..]))
        } else {
            agent.run(Request::from_parts(parts, ()))
        };
        let (parts, body) = answer.map_err(failed)?.into_parts();
        LAST.set(Went::Answered(parts.status.as_u16()));
        let reader = body.into_reader();
        let body = Answer { reader: Mutex::new(reader.take(LONGEST_ANSWER)) };
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}

/// Whether what is sent there passes no network that others see: this machine, or the one that gives it its credentials.
fn is_near(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    matches!(
        host,
        "localhost" | "127.0.0.1" | "[::1]" | "[fd00:ec2::254]" | "[fd00:ec2::23]" | "metadata.google.internal"
    ) || host.starts_with("169.254.") && host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// The bytes of a request; those of an object are one piece, and are not copied.
fn whole(mut body: HttpRequestBody) -> Result<Bytes, HttpError> {
    let mut pieces = Vec::new();
    let mut context = Context::from_waker(std::task::Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
        pieces.extend(frame?.into_data());
    }
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([whole]) => Ok(whole),
        Err(pieces) => Ok(pieces.concat().into()),
    }
}

/// It needs no signature: what is signed is the SHA-256. It guards nothing but the way.
#[cfg(feature = "backup-s3")]
fn md5_of(bytes: &[u8]) -> Result<HeaderValue, HttpError> {
    use md5::{Digest, Md5};
    let text = data_encoding::BASE64.encode(&Md5::digest(bytes));
    HeaderValue::from_str(&text).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))
}

#[cfg(not(feature = "backup-s3"))]
fn md5_of(_: &[u8]) -> Result<HeaderValue, HttpError> {
    Err(HttpError::new(HttpErrorKind::Unknown, io::Error::from(io::ErrorKind::Unsupported)))
}

/// An answer, read as it is asked for.
struct Answer {
    reader: Mutex<io::Take<BodyReader<'static>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let reader = self.get_mut().reader.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut chunk = vec![0; CHUNK];
        let read = loop {
            match reader.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        Poll::Ready(match read {
            Ok(0) if reader.limit() == 0 => {
                LAST.set(Went::Unfit);
                Some(Err(HttpError::new(HttpErrorKind::Decode, io::Error::other("the answer is too long"))))
            }
            Ok(0) => None,
            Ok(len) => {
                chunk.truncate(len);
                Some(Ok(Frame::data(chunk.into())))
            }
            Err(error) => Some(Err(failed(error.into()))),
        })
    }
}

/// The error of a request that was not answered, or not to its end.
fn failed(error: ureq::Error) -> HttpError {
    use ureq::{Error, Timeout};
    let (went, kind) = match &error {
        Error::HostNotFound | Error::ConnectionFailed => (Went::Unconnected, HttpErrorKind::Connect),
        Error::Timeout(Timeout::Resolve | Timeout::Connect) => (Went::Unconnected, HttpErrorKind::Connect),
        Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            (Went::Unconnected, HttpErrorKind::Connect)
        }
        // A certificate that is not to be trusted.
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => (Went::Unfit, HttpErrorKind::Unknown),
        Error::Timeout(_) => (Went::Lost, HttpErrorKind::Timeout),
        Error::Io(_) | Error::Protocol(_) | Error::BodyStalled => (Went::Lost, HttpErrorKind::Interrupted),
        _ => (Went::Unfit, HttpErrorKind::Unknown),
    };
    LAST.set(went);
    HttpError::new(kind, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_asked_without_encryption() {
        for near in
            ["http://localhost:9000/b", "http://127.0.0.1/b", "http://[::1]:1/", "http://169.254.169.254/latest"]
        {
            assert!(is_near(&near.parse().unwrap()), "{near}");
        }
        for far in [
            "http://169.254.example.org/",
            "http://localhost.example.org/",
            "http://10.0.0.1/",
            "https://s3.example.org",
        ] {
            assert!(!is_near(&far.parse().unwrap()), "{far}");
        }
    }
}
