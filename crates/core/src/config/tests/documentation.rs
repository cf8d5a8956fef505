//! The documentation names every key there is, under its section.

use std::path::Path;

use super::parse;
use crate::config::{ErrorKind, known_keys};

/// The part of `docs/configuration.md` under a heading.
fn section<'a>(documentation: &'a str, heading: &str) -> Option<&'a str> {
    let start = documentation.find(&format!("## `[{heading}]`\n"))?;
    let text = documentation.get(start + 3..)?;
    Some(text.split("\n## ").next().unwrap_or(text))
}

#[test]
fn every_key_is_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let documentation = std::fs::read_to_string(path).unwrap();
    let mut missing = Vec::new();
    for key in known_keys() {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let named = section(&documentation, &key).is_some()
            || section(&documentation, table).is_some_and(|text| text.contains(&format!("`{name}`")))
            // The keys of a small table stand in its default, as `{ count = 500, percent = 5 }`.
            || table.rsplit_once('.').is_some_and(|(above, _)| {
                section(&documentation, above).is_some_and(|text| text.contains(&format!("{name} = ")))
            });
        if !named && key != "sources" {
            missing.push(key);
        }
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn the_known_keys_are_those_of_the_reader() {
    let known = known_keys();
    for key in ["server.listen", "sources.NAME.users.attributes", "sources.NAME.sync.removal_limit.percent"] {
        assert!(known.iter().any(|it| it == key), "{key}");
    }
    assert!(known.len() > 90, "{}", known.len());
}

/// The ```` ```toml ```` blocks of a page.
fn examples(page: &str) -> Vec<&str> {
    page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect()
}

#[test]
fn every_example_in_the_documentation_is_understood() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![top.join("README.md")];
    pages.extend(std::fs::read_dir(top.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut seen = 0;
    for page in pages.iter().filter(|page| page.extension().is_some_and(|it| it == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        for example in examples(&text).into_iter().filter(|it| it.contains("[s") || it.contains("[defaults")) {
            seen += 1;
            // An example may show a part only, name files that are not here, and keys of what is not built in yet.
            let wrong = parse(example).err().into_iter().flat_map(|errors| errors.iter().cloned().collect::<Vec<_>>());
            let wrong = wrong.filter(|error| {
                !matches!(error.kind, ErrorKind::Missing | ErrorKind::Unavailable | ErrorKind::FeatureAbsent)
            });
            let told: Vec<_> = wrong.map(|error| error.to_string()).collect();
            assert_eq!(told, Vec::<String>::new(), "{}:\n{example}", page.display());
        }
    }
    assert!(seen > 0, "no example was found");
}
