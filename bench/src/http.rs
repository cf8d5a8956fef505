//! The least HTTP/1.1 client there is: one kept connection, fixed requests, no allocation to speak of.
//! It shares the machine with what it measures.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A kept connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The status of an answer, and the session cookie when it set one.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) session: Option<String>,
    pub(crate) body: String,
}

impl Client {
    pub(crate) async fn connect(port: u16) -> Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a whole request, and reads the whole answer.
    pub(crate) async fn send(&mut self, request: &[u8]) -> Result<Answer> {
        let (head, length) = self.exchange(request).await?;
        let text = std::str::from_utf8(self.buffer.get(..head).context("head")?)?;
        let session = text
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
            .find_map(|(_, value)| value.split(';').next())
            .map(str::to_owned);
        let body = String::from_utf8_lossy(self.buffer.get(head..head + length).unwrap_or_default()).into_owned();
        Ok(Answer { status: status(text)?, session, body })
    }

    /// Sends a whole request, and expects this status.
    pub(crate) async fn expect(&mut self, request: &[u8], expected: u16) -> Result<()> {
        let (head, length) = self.exchange(request).await?;
        let status = status(std::str::from_utf8(self.buffer.get(..head).context("head")?)?)?;
        let body = self.buffer.get(head..head + length).unwrap_or_default();
        ensure!(status == expected, "status {status}: {}", String::from_utf8_lossy(body));
        Ok(())
    }

    /// Answers how long head and body are; both lie in the buffer.
    async fn exchange(&mut self, request: &[u8]) -> Result<(usize, usize)> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = end + 4;
                let length = content_length(std::str::from_utf8(self.buffer.get(..head).context("head")?)?)?;
                while self.buffer.len() < head + length {
                    self.read().await?;
                }
                return Ok((head, length));
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server ended the connection");
        }
        Ok(())
    }
}

fn status(head: &str) -> Result<u16> {
    Ok(head.get(9..12).context("a status")?.parse()?)
}

fn content_length(head: &str) -> Result<usize> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    match lines.clone().find(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        Some((_, length)) => Ok(length.trim().parse()?),
        None => Ok(0),
    }
}

/// A JSON sign-in.
pub(crate) fn sign_in(user: &str, password: &str) -> Vec<u8> {
    let body = format!("{{\"username\":\"{user}\",\"password\":\"{password}\"}}");
    format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A GET, with a cookie where there is one.
pub(crate) fn get(path: &str, cookie: Option<&str>) -> Vec<u8> {
    let cookie = cookie.map(|cookie| format!("Cookie: {cookie}\r\n")).unwrap_or_default();
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n{cookie}\r\n").into_bytes()
}
