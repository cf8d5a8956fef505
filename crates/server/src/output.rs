//! What a command reports: a table for people, one JSON document for scripts.

use crate::cli::Format;
use crate::exit::Failure;
use serde::Serialize;
use std::io::{self, Write};

/// Prints `report` as JSON, or what `people` makes of it.
pub(crate) fn report<T: Serialize>(
    format: Format,
    report: &T,
    people: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match format {
        Format::Json => {
            let json = serde_json::to_string_pretty(report);
            let json =
                json.map_err(|error| Failure::usage(format!("the report cannot be written as JSON: {error}")))?;
            print(&format!("{json}\n"))
        }
        Format::Text => {
            let text = people(report);
            if text.is_empty() { Ok(()) } else { print(&format!("{}\n", text.trim_end())) }
        }
    }
}

/// Prints a text as it is. A reader who has gone away, as `head` does, is no error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unavailable(format!("the report cannot be written to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Columns as wide as their widest cell, under a heading.
pub(crate) fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let clean: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            let cells = clean.iter().filter_map(|row| row.get(column));
            let own = heading.get(column).map_or(0, |title| title.chars().count());
            cells.map(|cell| cell.chars().count()).chain([own]).max().unwrap_or(0)
        })
        .collect();
    let mut text = line(heading.iter().map(|title| title.to_uppercase()), &widths);
    for row in clean {
        text.push_str(&line(row.into_iter(), &widths));
    }
    text
}

/// Names and values, one pair a line.
pub(crate) fn pairs<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.as_ref().chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs {
        let (name, value) = (name.as_ref(), printable(value.as_ref()));
        text.push_str(format!("{name:width$}  {value}").trim_end());
        text.push('\n');
    }
    text
}

fn line(cells: impl Iterator<Item = String>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, width)| format!("{cell:width$}", width = *width)).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

/// A directory's text must not move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_control_characters_are_shown_not_obeyed() {
        let rows = vec![vec!["ann".into(), "Ann\u{1b}[2J".into()], vec!["bartholomew".into(), "B".into()]];
        assert_eq!(table(&["user", "name"], &rows), "USER         NAME\nann          Ann\u{fffd}[2J\nbartholomew  B\n");
    }
}
