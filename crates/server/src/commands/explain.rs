//! `bindery explain`: what sign-in would decide and why.

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::{context, output};
use bindery_core::engine::Explanation;
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Who: `ann`, `EXAMPLE\ann` or `ann@example.local`.
    user: String,
}

pub(crate) async fn run(cli: &Cli, arguments: &Arguments) -> Result<Exit, Failure> {
    let config = context::config(cli)?;
    let explanation = match context::engine(&config).await {
        Ok(engine) => engine.explain(&arguments.user).await,
        Err(failure) => Explanation::unavailable(failure.message()),
    };
    output::report(cli.format, &explanation, people)?;
    Ok(explanation.outcome.into())
}

fn people(explanation: &Explanation) -> String {
    let mut head = vec![("outcome", explanation.outcome.as_str().to_owned())];
    head.extend(explanation.reason.map(|reason| ("reason", reason.as_str().to_owned())));
    if !explanation.detail.is_empty() {
        head.push(("because", explanation.detail.clone()));
    }
    head.push(("source", explanation.source.clone().unwrap_or_else(|| "local".to_owned())));
    head.extend(explanation.dn.clone().map(|dn| ("dn", dn)));
    head.extend(explanation.unique_id.clone().map(|id| ("unique ID", id)));
    let tests = [("require", &explanation.access.require), ("deny", &explanation.access.deny)];
    head.extend(tests.into_iter().filter_map(|(name, test)| Some((name, test.as_ref()?.reason()))));
    let mut text = output::pairs(&head);

    let fields = explanation.fields.iter();
    let rows: Vec<_> =
        fields.map(|(name, field)| vec![name.clone(), plain(&field.value), field.from.clone()]).collect();
    section(&mut text, &["field", "value", "from"], &rows);
    let flags = explanation.flags.iter();
    let rows: Vec<_> =
        flags.map(|(name, flag)| vec![name.clone(), flag.value.to_string(), flag.because.clone()]).collect();
    section(&mut text, &["flag", "value", "because"], &rows);
    let groups = explanation.groups.iter();
    let rows: Vec<_> =
        groups.map(|group| vec![group.name.clone(), way(group.direct, &group.path), group.dn.clone()]).collect();
    section(&mut text, &["directory group", "member", "dn"], &rows);

    let mut tail = vec![
        ("local groups", explanation.local_groups.join(", ")),
        ("permissions", explanation.permissions.join(", ")),
    ];
    tail.extend(explanation.groups_incomplete.clone().map(|why| ("groups incomplete", why)));
    if !explanation.unresolved.is_empty() {
        tail.push(("not found", explanation.unresolved.join("; ")));
    }
    tail.extend(explanation.notes.iter().map(|note| ("note", note.clone())));
    text.push('\n');
    text + &output::pairs(&tail)
}

fn section(text: &mut String, heading: &[&str], rows: &[Vec<String>]) {
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&output::table(heading, rows));
    }
}

fn way(direct: bool, path: &[String]) -> String {
    match path {
        _ if direct => "directly".to_owned(),
        [first, ..] => format!("through {first}"),
        [] => "through another group".to_owned(),
    }
}

fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "(cleared)".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
