//! A small HTTP/1.1 client that can read as slowly as a test wants.

use std::{
    io::{BufRead, BufReader, Read, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A field's value, or nothing.
    pub fn field(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    /// The answer if it has this status.
    pub fn expect(self, status: u16) -> Result<Self> {
        ensure!(self.status == status, "answered {} {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }
}

/// An answer whose body is still to be read.
#[derive(Debug)]
pub struct Body {
    /// Status and fields; the body is empty.
    pub head: Answer,
    /// Bytes of the body not read yet.
    pub left_bytes: u64,
    stream: BufReader<TcpStream>,
}

/// Asks and reads the whole answer.
pub fn get(addr: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
    let mut body = open(addr, path, fields)?;
    let mut bytes = Vec::new();
    Read::by_ref(&mut body.stream).take(body.left_bytes).read_to_end(&mut bytes)?;
    if body.left_bytes != u64::MAX {
        ensure!(
            bytes.len() as u64 == body.left_bytes,
            "the body of {path} ended after {} bytes",
            bytes.len()
        );
    }
    Ok(Answer { body: bytes, ..body.head })
}

/// Asks and reads the head of the answer.
pub fn open(addr: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Result<Body> {
    let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut stream = BufReader::new(stream);
    let mut head = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n");
    for (name, value) in fields {
        head += &format!("{name}: {value}\r\n");
    }
    stream.get_mut().write_all((head + "\r\n").as_bytes())?;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(stream.read_line(&mut line)? > 0, "the connection ended in the head of {path}");
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.first().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
    let fields: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let head = Answer { status, fields, body: Vec::new() };
    if head.field("transfer-encoding") == "chunked" {
        bail!("chunked answers are not read here");
    }
    let left_bytes = match head.field("content-length") {
        "" => u64::MAX,
        length => length.parse()?,
    };
    Ok(Body { head, left_bytes, stream })
}

impl Body {
    /// Reads up to `buffer.len()` bytes, at most what is left; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left_bytes)?);
        if wanted == 0 {
            return Ok(0);
        }
        let read = self.stream.read(&mut buffer[..wanted])?;
        ensure!(read > 0, "the body ended {} bytes early", self.left_bytes);
        self.left_bytes -= read as u64;
        Ok(read)
    }
}
