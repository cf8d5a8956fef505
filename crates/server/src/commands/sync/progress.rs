//! How far a run has come: a bar with rate and time left on a terminal, else a plain line now and then. On stderr.

use crate::cli::Format;
use bindery_core::sync::Progress;
use bindery_directory::Kind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Between two plain lines.
const LINES: Duration = Duration::from_secs(5);

pub(crate) struct Display {
    slug: String,
    way: Way,
}

enum Way {
    Bar(ProgressBar),
    Lines(Mutex<Duration>),
    Silent,
}

impl Display {
    pub(crate) fn new(slug: &str, format: Format) -> Self {
        let way = match format {
            _ if std::io::stderr().is_terminal() => Way::Bar(bar(slug)),
            Format::Text => Way::Lines(Mutex::new(Duration::ZERO)),
            Format::Json => Way::Silent,
        };
        Self { slug: slug.to_owned(), way }
    }

    pub(crate) fn hear(&self, progress: Progress) {
        match &self.way {
            Way::Bar(bar) => {
                if let Some(of) = progress.of {
                    bar.set_length(of.max(progress.read));
                }
                bar.set_message(thing(progress.kind));
                bar.set_position(progress.read);
            }
            Way::Lines(last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if progress.elapsed >= *last + LINES {
                    *last = progress.elapsed;
                    let _ = writeln!(std::io::stderr(), "{}", line(&self.slug, progress));
                }
            }
            Way::Silent => {}
        }
    }

    pub(crate) fn end(&self) {
        if let Way::Bar(bar) = &self.way {
            bar.finish_and_clear();
        }
    }
}

fn bar(slug: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = "{prefix}: {msg} {bar:30} {human_pos} of {human_len}, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar.set_prefix(slug.to_owned());
    bar
}

fn thing(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "people",
        Kind::Group => "groups",
    }
}

fn line(slug: &str, progress: Progress) -> String {
    let milliseconds = progress.elapsed.as_millis().max(1);
    let rate = u128::from(progress.read) * 1000 / milliseconds;
    let of = progress.of.map(|of| format!(" of about {of}")).unwrap_or_default();
    format!("{slug}: {}{of} {} read, {rate} a second", progress.read, thing(progress.kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_and_how_fast() {
        let progress = Progress { kind: Kind::User, read: 5000, of: Some(20000), elapsed: Duration::from_secs(10) };
        assert_eq!(line("corp", progress), "corp: 5000 of about 20000 people read, 500 a second");
    }
}
