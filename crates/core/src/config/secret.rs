//! Strings that come from elsewhere: `{ env = "NAME" }`, `{ file = "/path" }`, `{ command = ["prog", "arg"] }`.
//!
//! Read once, at load; one trailing newline is dropped; bounded in size and time. What goes wrong is told
//! without the text.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::env::Environment;

/// How long a command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// How much a file or a command may give.
const MAX_SIZE: u64 = 1024 * 1024;

/// The value of an environment variable.
pub(super) fn from_env(name: &str, environment: &Environment) -> Result<String, String> {
    environment
        .get(name)
        .map(|value| without_newline(value.to_owned()))
        .ok_or_else(|| format!("the environment variable {name} is not set"))
}

/// The contents of a file.
pub(super) fn from_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot read the file {shown}: {error}"))?;
    read_bounded(file).map_err(|problem| format!("the file {shown} {problem}"))
}

/// What a command prints. It runs in the configuration file's folder, without input.
pub(super) fn from_command(command: &[String], directory: &Path) -> Result<String, String> {
    let [program, arguments @ ..] = command else {
        return Err("the command is empty".to_owned());
    };
    // The program is named, its arguments are not: they may carry something secret.
    let name = format!("the command {program:?}");
    let located = if program.contains('/') { directory.join(program).into_os_string() } else { program.into() };
    let mut child = Command::new(located)
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{name} cannot be started: {error}"))?;
    let Some(output) = child.stdout.take() else {
        return Err(format!("{name} gave no output"));
    };
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // The receiver is gone after the time-out; then nobody wants the text.
        let _ = sender.send(read_bounded(output));
    });
    let read = receiver.recv_timeout(COMMAND_TIMEOUT);
    if !matches!(read, Ok(Ok(_))) {
        // It may have ended by itself meanwhile.
        let _ = child.kill();
    }
    // A child that closed its output and lives on is waited for; one that was killed is reaped.
    let status = child.wait().map_err(|error| format!("{name} cannot be waited for: {error}"))?;
    match read {
        Err(_) => Err(format!("{name} did not end within {} s", COMMAND_TIMEOUT.as_secs())),
        Ok(Err(problem)) => Err(format!("the output of {name} {problem}")),
        Ok(Ok(_)) if !status.success() => Err(format!("{name} failed ({status})")),
        Ok(Ok(text)) => Ok(text),
    }
}

fn read_bounded(source: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    source.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(format!("is larger than {} KiB", MAX_SIZE / 1024));
    }
    String::from_utf8(bytes).map(without_newline).map_err(|_| "is not UTF-8".to_owned())
}

/// One trailing newline, of either kind, belongs to the file and not to the value.
fn without_newline(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}
