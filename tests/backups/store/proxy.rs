//! Stands between a target and its server, and does to requests what networks and servers do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request, as far as a test wants to know.
pub struct Asked {
    /// How many came before.
    pub before: u32,
    pub method: String,
    pub path: String,
    head: Vec<String>,
    pub body: Vec<u8>,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<String> {
        let is_it = |line: &&String| is_header(line, name);
        self.head.iter().find(is_it).map(|line| line.split_once(':').unwrap().1.trim().to_owned())
    }
}

fn is_header(line: &str, name: &str) -> bool {
    line.split_once(':').is_some_and(|(is, _)| is.eq_ignore_ascii_case(name))
}

/// What happens to a request.
pub enum Fate {
    /// It is passed on.
    Pass,
    /// It is passed on without this header.
    Without(&'static str),
    /// It is answered here: the lines of the head but those of the connection, and the body.
    Answer(String),
    /// The connection is cut before the server has it.
    CutBefore,
    /// The server has done it, and the connection is cut.
    CutAfter,
    /// The connection is cut in the middle of the answer.
    CutMidway,
    /// Nothing ever comes.
    Silence,
}

/// A status with an error as S3 words it.
pub fn status(status: &str, code: &str) -> Fate {
    let body = format!("<Error><Code>{code}</Code><Message>told by the proxy</Message></Error>");
    Fate::Answer(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

pub struct Proxy {
    pub port: u16,
    pub asked: Arc<AtomicU32>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of this port; 0 if nothing is ever passed on.
    pub fn new(to: u16, fate: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, ends) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, over, fate) = (asked.clone(), ends.clone(), Arc::new(fate));
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (count, over, fate) = (count.clone(), over.clone(), fate.clone());
                std::thread::spawn(move || client.and_then(|client| serve(client, to, &count, &over, &*fate)));
            }
        });
        Self { port, asked, ends, thread: Some(thread) }
    }

    pub fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().unwrap().join();
    }
}

/// One connection, one request.
fn serve(
    client: TcpStream,
    to: u16,
    count: &AtomicU32,
    over: &AtomicBool,
    fate: &dyn Fn(&Asked) -> Fate,
) -> std::io::Result<()> {
    let mut from = BufReader::new(client.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if from.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if line == "\r\n" {
            break;
        }
        head.push(line.trim_end().to_owned());
    }
    let mut asked = Asked { before: 0, method: String::new(), path: String::new(), head, body: Vec::new() };
    let mut first = asked.head[0].split(' ').map(str::to_owned);
    (asked.method, asked.path) = (first.next().unwrap(), first.next().unwrap());
    asked.body = vec![0; asked.header("content-length").map_or(0, |len| len.parse().unwrap())];
    from.read_exact(&mut asked.body)?;
    asked.before = count.fetch_add(1, Ordering::SeqCst);
    let fate = fate(&asked);

    let passed = |left_out: &str| -> std::io::Result<Vec<u8>> {
        let mut server = TcpStream::connect(("127.0.0.1", to))?;
        for line in asked.head.iter().filter(|line| !is_header(line, "connection") && !is_header(line, left_out)) {
            write!(server, "{line}\r\n")?;
        }
        write!(server, "Connection: close\r\n\r\n")?;
        server.write_all(&asked.body)?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let mut to_client = &client;
    match fate {
        Fate::Pass => to_client.write_all(&passed("connection")?)?,
        Fate::Without(header) => to_client.write_all(&passed(header)?)?,
        Fate::Answer(answer) => {
            to_client.write_all(answer.replacen("\r\n", "\r\nConnection: close\r\n", 1).as_bytes())?
        }
        Fate::CutBefore => {}
        Fate::CutAfter => drop(passed("connection")?),
        Fate::CutMidway => {
            let answer = passed("connection")?;
            to_client.write_all(&answer[..answer.len() / 2])?;
        }
        Fate::Silence => {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
    client.shutdown(Shutdown::Both)
}
