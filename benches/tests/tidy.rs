//! The rules of the house that a compiler does not check: headers, sizes, depth, who may depend on whom, who may know actix.
//!
//! Each test collects every breach before it fails, so that one run shows all there is to mend.

#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn every_file_says_first_what_it_is() {
    let breaches = sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.name);
    none(breaches, "these files do not begin with a `//!` header");
}

#[test]
fn no_file_outgrows_its_reader() {
    let breaches = sources().into_iter().filter_map(|file| {
        let lines = product_text(&file.text).lines().count();
        (lines > MAX_LINES && !file.is_test_module()).then(|| format!("{} has {lines}", file.name))
    });
    none(breaches, &format!("these files have more than {MAX_LINES} lines outside their tests"));
}

#[test]
fn folders_are_two_deep_at_most() {
    let breaches = sources().into_iter().filter_map(|file| {
        let inside = file.name.split_once("/src/")?.1;
        (inside.matches('/').count() > 2).then_some(file.name)
    });
    none(breaches, "these files lie more than two folders below `src`");
}

#[test]
fn crates_depend_downwards_only() {
    let ours = BTreeSet::from(["shared", "media", "peer-actor", "tracker-actor", "gui", "benches"]);
    let allowed = BTreeMap::from([
        ("shared", BTreeSet::new()),
        ("media", BTreeSet::new()),
        ("peer-actor", BTreeSet::from(["shared", "media"])),
        ("tracker-actor", BTreeSet::from(["shared", "peer-actor", "media"])),
        ("gui", BTreeSet::from(["shared", "peer-actor", "media"])),
        ("benches", BTreeSet::from(["shared", "media", "peer-actor", "tracker-actor", "gui"])),
    ]);
    let mut breaches = Vec::new();
    let packages = dependencies();
    assert_eq!(packages.len(), ours.len(), "the workspace has the six crates");
    for (package, dependencies) in &packages {
        let may = &allowed[package.as_str()];
        let must_not = |name: &&String| ours.contains(name.as_str()) && !may.contains(name.as_str());
        breaches.extend(dependencies.iter().filter(must_not).map(|name| format!("{package} -> {name}")));
    }
    for pure in ["shared", "media"] {
        let is_shell =
            |name: &&String| name.starts_with("actix") || ["tokio", "awc"].contains(&name.as_str());
        breaches.extend(packages[pure].iter().filter(is_shell).map(|name| format!("{pure} -> {name}")));
    }
    none(breaches, "these arrows point the wrong way");
}

#[test]
fn actix_stays_in_the_shells() {
    let breaches = sources().into_iter().filter(|file| {
        let words = ["actix::", "actix_web", "actix_rt", "awc::"];
        // A recipient is a capability, and anyone may hold one.
        let knows_actix = code_lines(product_text(&file.text))
            .map(|line| line.replace("actix::Recipient", ""))
            .any(|line| words.iter().any(|word| line.contains(word)));
        knows_actix && !MAY_KNOW_ACTIX.iter().any(|place| file.name.contains(place))
    });
    none(breaches.map(|file| file.name), "these files know actix and are no shells");
}

#[test]
fn pure_states_reach_for_nothing() {
    let forbidden =
        ["actix::", "tokio::", "std::fs", "std::net::Tcp", "Instant::now(", "SystemTime::now(", "thread::"];
    let is_pure = |file: &Source| file.name.starts_with("shared/src/") || file.name.ends_with("/state.rs");
    let breaches = sources().into_iter().filter(is_pure).flat_map(|file| {
        let product = product_text(&file.text);
        let reached = forbidden.iter().filter(|word| code_lines(product).any(|line| line.contains(*word)));
        reached.map(|word| format!("{} has `{word}`", file.name)).collect::<Vec<_>>()
    });
    none(breaches, "these files are to be pure");
}

#[test]
fn nothing_is_left_to_do_and_no_machine_is_named() {
    let marks = [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["todo", "!("], ["unimplemented", "!("]]
        .map(|parts| parts.concat());
    let places = [["/wo", "rk/"], ["/ro", "ot/"], ["/bash", "_jobs"]].map(|parts| parts.concat());
    let breaches = texts().into_iter().flat_map(|file| {
        let words = marks.iter().chain(&places).filter(|word| file.text.contains(word.as_str()));
        words.map(|word| format!("{} has `{word}`", file.name)).collect::<Vec<_>>()
    });
    none(breaches, "these files carry marks or the paths of one machine");
}

struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A file that is nothing but the tests of its neighbour.
    fn is_test_module(&self) -> bool {
        self.name.ends_with("tests.rs") || self.name.contains("/tests/")
    }
}

/// Where actix may be known: shells, wiring, and the edges that speak HTTP.
const MAY_KNOW_ACTIX: [&str; 18] = [
    "/actor.rs",
    "/messages.rs",
    "/main.rs",
    "peer-actor/src/chunk_scheduler/watchers.rs",
    "peer-actor/src/file_index/worker.rs",
    "peer-actor/src/mailbox.rs",
    "peer-actor/src/node/",
    "peer-actor/src/path_planner/endpoint.rs",
    "peer-actor/src/relay/endpoint.rs",
    "peer-actor/src/timer.rs",
    "peer-actor/src/transport/",
    "peer-actor/src/gateway/",
    "tracker-actor/src/gatekeeper.rs",
    "tracker-actor/src/server.rs",
    "tracker-actor/src/dashboard/",
    "tracker-actor/src/console/",
    "gui/src/backend/",
    "benches/src/harness/",
];
const MAX_LINES: usize = 500;

/// Every Rust file under a `src` of the workspace.
fn sources() -> Vec<Source> {
    texts().into_iter().filter(|file| file.name.ends_with(".rs") && file.name.contains("/src/")).collect()
}

/// Every text of the repository, generated things left out.
fn texts() -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !["target", "demo-data", ".git"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source {
                    name: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
                    text,
                });
            }
        }
    }
    assert!(found.len() > 50, "the workspace was not found");
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

const ENDINGS: [&str; 10] = [".rs", ".md", ".toml", ".sh", ".awk", ".html", ".js", ".css", "Makefile", "run"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The file without the tests at its foot, whatever attributes they carry.
fn product_text(text: &str) -> &str {
    let begins_tests = |start: usize| {
        let mut attributes = text[start..].lines().skip_while(|line| line.starts_with("#["));
        attributes.next().is_some_and(|line| line.ends_with("mod tests {"))
    };
    text.match_indices("#[cfg(test)]\n")
        .find(|(start, _)| begins_tests(*start))
        .map_or(text, |(start, _)| &text[..start])
}

/// Lines that are code: comments may name what code may not.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//"))
}

/// What each crate of the workspace depends on, tests and build scripts apart.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let normal = all.filter(|dependency| dependency["kind"].is_null());
            let names = normal.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect();
            (package["name"].as_str().unwrap().to_owned(), names)
        })
        .collect()
}

fn none(breaches: impl IntoIterator<Item = String>, rule: &str) {
    let breaches: Vec<String> = breaches.into_iter().collect();
    assert!(breaches.is_empty(), "{rule}:\n  {}", breaches.join("\n  "));
}
