//! What the README says is typed here, in the order of the README, against a devnet with ports of its own.
//!
//! A reader's terminal is a shell in an empty directory, which finds `timed` and a few files of the repository. What
//! differs from a reader's: ports, so that another devnet on the machine is left alone; passwords come from a file and
//! nobody is asked, since there is no terminal; `TXID` stands for the payment before it. A node goes on in the background
//! until another one needs its ports, a Python program until it has told of a payment.
//!
//! Every command counts: one that is not typed here stands in [`ELSEWHERE`], with the test that runs it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::net::{Process, run_to_end, timed, wait_for};
use crate::turns::{Needs, turn};

const README: &str = include_str!("../../README.md");
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Sections and commands that are not typed here, and the test that types them.
const ELSEWHERE: [(Place, &str, &str); 4] = [
    (
        Place::Section("A network of one's own"),
        "tests/e2e/own_network.rs",
        "four_founders_make_a_network_by_the_words_of_the_readme",
    ),
    (
        Place::Section("Care of the data"),
        "tests/care/readme.rs",
        "the_commands_of_the_section_do_what_it_says",
    ),
    (
        Place::Section("Test against a devnet"),
        "tests/devnet.rs",
        "the_commands_of_the_readme_do_what_it_says_of_them",
    ),
    // Cargo has made the program by the same steps before this test could run it.
    (Place::Command("cargo install"), "tests/cli.rs", "every_command_explains_itself"),
];

enum Place {
    Section(&'static str),
    Command(&'static str),
}

/// `timed` as the shell finds it: what a person would type at a prompt comes from a file here.
const PROGRAM: &str = r#"#!/bin/sh
case "$1 $2" in
"wallet new" | "wallet restore" | "wallet export" | "wallet address" | "wallet uri" | "wallet accounts" | \
    "wallet balance" | "wallet utxos" | "wallet history" | "wallet send" | "wallet sign-message" | "tx sign")
    case "$*" in
    *--devnet-account* | *--address* | *--password-file*) ;;
    *) set -- "$@" --password-file "$PASSWORD_FILE" ;;
    esac
    ;;
esac
case "$*" in
*--read-memo*) set -- "$@" --password-file "$PASSWORD_FILE" ;;
esac
case "$1 $2" in
"tx sign") set -- "$@" --yes ;;
"devnet ") set -- devnet --base-port 29200 ;;
"init "*) set -- "$@" --genesis devnet/genesis.toml ;;
esac
exec "$PROGRAM" "$@"
"#;

/// A run of indented lines.
struct Block {
    section: String,
    line: usize,
    lines: Vec<String>,
}

fn blocks() -> Vec<Block> {
    let (mut found, mut section, mut open): (Vec<Block>, String, bool) = (Vec::new(), String::new(), false);
    for (line, text) in (1..).zip(README.lines()) {
        if let Some(title) = text.strip_prefix("## ") {
            title.clone_into(&mut section);
        }
        match text.strip_prefix("    ") {
            Some(rest) if open => found.last_mut().unwrap().lines.push(rest.to_owned()),
            Some(rest) => {
                found.push(Block { section: section.clone(), line, lines: vec![rest.to_owned()] });
                open = true;
            }
            // A program has empty lines.
            None if text.is_empty() && open => found.last_mut().unwrap().lines.push(String::new()),
            None => open = false,
        }
    }
    found
}

impl Block {
    fn text(&self) -> String {
        self.lines.join("\n")
    }

    fn is_python(&self) -> bool {
        self.lines[0].starts_with("import ")
    }

    /// A part of a configuration.
    fn is_config(&self) -> bool {
        self.lines[0].starts_with('[')
    }

    /// Its commands, each in one line, without what is said of them.
    fn commands(&self) -> Vec<String> {
        let whole = self.text().replace("\\\n", " ").replace("cargo run --release --", "timed");
        let spoken = whole.lines().map(|line| line.split("  # ").next().unwrap().trim().to_owned());
        spoken.filter(|line| !line.is_empty()).collect()
    }
}

/// The devnet's ports, and those of nodes that join it, five thousand higher.
fn moved(text: &str) -> String {
    let mut moved = text.as_bytes().to_vec();
    for start in 0..text.len() {
        let digits = text.get(start..start + 5).filter(|five| five.bytes().all(|byte| byte.is_ascii_digit()));
        let is_port =
            digits.is_some_and(|five| ["242", "243", "244"].iter().any(|begin| five.starts_with(begin)));
        let around =
            [start.checked_sub(1), Some(start + 5)].map(|at| at.and_then(|at| text.as_bytes().get(at)));
        if is_port && around.iter().all(|byte| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric())) {
            moved[start + 1] = b'9';
        }
    }
    String::from_utf8(moved).unwrap()
}

/// The word behind a flag.
fn value_of<'a>(command: &'a str, flag: &str) -> Option<&'a str> {
    let mut words = command.split_whitespace().skip_while(|word| *word != flag);
    words.nth(1)
}

fn rpc_port(config: &Path) -> u16 {
    let table: toml::Table = std::fs::read_to_string(config).unwrap().parse().unwrap();
    let address = table["rpc"]["listen_address"].as_str().unwrap();
    address.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// What is written later wins.
fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(value)) => merge(inner, value),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// A test, a bench, or a campaign: it has to be there, and to ask for the variables that are set.
fn check_cargo(command: &str) {
    let mut words = command.split_whitespace().peekable();
    let mut variables = Vec::new();
    while let Some((name, _)) = words.peek().and_then(|word| word.split_once('=')) {
        variables.push(name.to_owned());
        words.next();
    }
    let words: Vec<&str> = words.take_while(|word| *word != "--").collect();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let root = Path::new(ROOT);
    match words.as_slice() {
        ["cargo", "test"] => assert!(read(root.join(".ci/run")).contains("cargo test")),
        ["cargo", "bench"] => assert!(read(root.join("Cargo.toml")).contains("[[bench]]")),
        ["cargo", "bench", "--bench", name] => {
            assert!(
                read(root.join("Cargo.toml")).contains(&format!("[[bench]]\nname = \"{name}\"")),
                "{command}"
            );
        }
        ["cargo", "test", "--test", name, filter @ ..] => {
            let folder = root.join("tests").join(name);
            let mut text = read(folder.with_extension("rs"));
            text.push_str(&all_below(&folder));
            // What several of them share.
            text.push_str(&all_below(&root.join("tests/support")));
            assert!(text.contains("#[test]"), "{command}: there is no such test");
            for part in filter {
                let is_there = [format!("mod {part};"), format!("fn {part}")]
                    .iter()
                    .any(|name| text.contains(name))
                    || text.lines().any(|line| line.trim_start().starts_with("fn ") && line.contains(part));
                assert!(is_there, "{command}: {part} is no test of {name}");
            }
            for variable in variables {
                assert!(text.contains(&format!("\"{variable}\"")), "{command}: nothing asks for {variable}");
            }
        }
        ["cargo", "test", "--lib", filter] => {
            let text = all_below(&root.join("src"));
            assert!(
                text.contains(&format!("mod {filter};")),
                "{command}: {filter} is no test of the crate's own"
            );
            let shared = all_below(&root.join("tests/support"));
            for variable in variables {
                assert!(
                    shared.contains(&format!("\"{variable}\"")),
                    "{command}: nothing asks for {variable}"
                );
            }
        }
        _ => panic!("{command}: this test does not know what that runs"),
    }
}

/// The sources of a folder and those below it, one behind the other.
fn all_below(folder: &Path) -> String {
    let paths = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| match path.is_dir() {
        true => all_below(&path),
        false => std::fs::read_to_string(path).unwrap_or_default(),
    };
    paths.map(text).collect()
}

fn height_of(status: &Value) -> u64 {
    status["node"]["height"].as_u64().unwrap()
}

struct Terminal {
    home: tempfile::TempDir,
    turn: usize,
    /// Nodes that run, with their ports of RPC.
    nodes: Vec<(u16, Process)>,
    devnet: bool,
    /// The configuration that `init` wrote last.
    config: Option<PathBuf>,
    txid: Option<String>,
    typed: usize,
    programs: usize,
}

impl Terminal {
    fn open() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let place = |name: &str| home.path().join(name);
        std::fs::create_dir(place("bin")).unwrap();
        for (name, text, mode) in
            [("bin/timed", PROGRAM, 0o755), ("password", "a password of the test\n", 0o600)]
        {
            std::fs::write(place(name), text).unwrap();
            std::fs::set_permissions(place(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let shipped = std::fs::read_to_string(Path::new(ROOT).join("config.toml")).unwrap();
        std::fs::write(place("config.toml"), moved(&shipped)).unwrap();
        Self {
            home,
            turn: 0,
            nodes: Vec::new(),
            devnet: false,
            config: None,
            txid: None,
            typed: 0,
            programs: 0,
        }
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = Command::new("sh");
        let path = std::env::var("PATH").unwrap_or_default();
        let bin = self.home.path().join("bin");
        command.current_dir(self.home.path()).env("PATH", format!("{}:{path}", bin.display()));
        command.env("PROGRAM", timed().get_program()).env("PASSWORD_FILE", self.home.path().join("password"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TIMED_"))
        {
            command.env_remove(name);
        }
        command.args(["-c", line]).stdin(Stdio::null());
        command
    }

    fn output(&mut self) -> PathBuf {
        self.turn += 1;
        self.home.path().join(format!("said.{}", self.turn))
    }

    /// Runs a line to its end.
    fn run(&mut self, line: &str) -> (i32, String) {
        let output = self.output();
        run_to_end(&mut self.shell(line), &output)
    }

    /// What a node says of itself; `None` while it does not answer.
    fn status(&self, config: Option<&Path>) -> Option<Value> {
        let mut command = timed();
        command.current_dir(self.home.path()).args(["status", "--json"]);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let output = command.output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    fn start(&mut self, line: &str) {
        let config = value_of(line, "--config").map(|path| self.home.path().join(path));
        let port = config.as_deref().map_or(29_201, rpc_port);
        // Its predecessor has the same ports.
        if let Some(at) = self.nodes.iter().position(|(taken, _)| *taken == port) {
            let (_, mut before) = self.nodes.remove(at);
            if before.exit_code().is_none() {
                before.terminate();
            }
            assert_eq!(wait_for("the end of a node", || before.exit_code()), 0, "{line}");
        }
        let output = std::fs::File::create(self.output()).unwrap();
        // Without a shell between, so that a signal reaches it.
        let mut command = self.shell(&format!("exec {line}"));
        command.stdout(output.try_clone().unwrap()).stderr(output);
        self.nodes.push((port, Process::spawn(&mut command)));
        let said = self.home.path().join(format!("said.{}", self.turn));
        wait_for(line, || {
            let (_, process) = self.nodes.last_mut().unwrap();
            let ended = process.exit_code();
            assert_eq!(ended, None, "{line}: {}", std::fs::read_to_string(&said).unwrap());
            // A new node does not know at first how far the others are.
            let tip = height_of(&self.status(Some(Path::new("devnet/node0/config.toml")))?);
            let status = self.status(config.as_deref())?;
            let state = status["node"]["state"].as_str().unwrap();
            let is_ready = ["following", "voting"].contains(&state) && height_of(&status) >= tip.max(1);
            is_ready.then_some(())
        });
    }

    fn types(&mut self, spoken: &str, line: usize) {
        let mut command = moved(spoken);
        if let Some(txid) = &self.txid {
            command = command.replace("TXID", txid);
        }
        println!("README.md:{line}: {command}");
        self.typed += 1;
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["timed", "devnet"] => {
                if !std::mem::replace(&mut self.devnet, true) {
                    self.start(&command);
                }
            }
            ["timed", "--config", _] | ["timed", "run", "--config", _] => self.start(&command),
            _ => {
                let (code, said) = self.run(&command);
                assert_eq!(code, 0, "README.md:{line}: {command}\n{said}");
                self.note(&command, &said);
            }
        }
    }

    /// What later commands depend on.
    fn note(&mut self, command: &str, said: &str) {
        let is_txid = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        if ["wallet send", "tx broadcast"].iter().any(|begin| command.contains(begin)) {
            self.txid = said
                .split(|c: char| !c.is_ascii_alphanumeric())
                .find(is_txid)
                .map(str::to_owned)
                .or(self.txid.take());
        }
        if command.starts_with("timed init") {
            let config = self.home.path().join(value_of(command, "--home").unwrap()).join("config.toml");
            std::fs::write(&config, moved(&std::fs::read_to_string(&config).unwrap())).unwrap();
            self.config = Some(config);
        }
        if command.starts_with("timed rpc") && command.ends_with(" stop") {
            let nodes = &mut self.nodes;
            wait_for("the end of the node", || nodes.iter_mut().find_map(|(_, process)| process.exit_code()));
        }
    }

    /// Writes it into the configuration that was made last.
    fn configures(&mut self, block: &Block) {
        let config = self.config.clone().expect("`timed init` comes before lines of a configuration");
        let mut table: toml::Table = std::fs::read_to_string(&config).unwrap().parse().unwrap();
        let lines: toml::Table = moved(&block.text()).parse().unwrap();
        if let (Some(toml::Value::Table(network)), true) =
            (table.get_mut("network"), lines.contains_key("network"))
        {
            // Lines about peers are those of one node each, and not of all of them together.
            for key in ["mode", "external_address", "bootstrap_peers", "dns_seeds"] {
                network.remove(key);
            }
        }
        merge(&mut table, lines);
        std::fs::write(&config, table.to_string()).unwrap();
        let checked = format!("timed config check --config {}", config.display());
        let (code, said) = self.run(&checked);
        assert_eq!(code, 0, "README.md:{}: {said}", block.line);
    }

    /// Runs a program until it has told of a payment to the shop.
    fn programs(&mut self, block: &Block) {
        self.programs += 1;
        if Command::new("python3").arg("--version").output().is_err() {
            println!("README.md:{}: not run, there is no python3", block.line);
            return;
        }
        let name = format!("program{}.py", self.programs);
        let text = moved(&block.text());
        std::fs::write(self.home.path().join(&name), &text).unwrap();
        let shop = text.split('"').find(|word| word.starts_with("dtime1")).unwrap().to_owned();
        let output = self.output();
        let file = std::fs::File::create(&output).unwrap();
        let mut command = self.shell(&format!("exec python3 {name}"));
        command.stdout(file.try_clone().unwrap()).stderr(file);
        let mut program = Process::spawn(&mut command);
        wait_for(&name, || {
            // It tells of what comes after it has begun to listen.
            let (code, said) = self.run(&format!("timed wallet send --devnet-account 3 --wait {shop} 12.5"));
            assert_eq!(code, 0, "{said}");
            let told = std::fs::read_to_string(&output).unwrap();
            assert_eq!(program.exit_code(), None, "README.md:{}: {told}", block.line);
            told.lines().any(|line| line.contains("final") || line.contains("units")).then_some(())
        });
        if text.contains("getreceipt") {
            let names = std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let receipt =
                names.map(|name| name.into_string().unwrap()).find(|name| name.starts_with("receipt-"));
            let (code, said) = self.run(&format!("timed verify-receipt {}", receipt.unwrap()));
            assert!(code == 0 && said.contains("The receipt holds."), "{said}");
        }
    }
}

/// The row of [`ELSEWHERE`] about a command, whose test has to be there.
fn elsewhere(section: &str, command: &str) -> Option<usize> {
    let row = ELSEWHERE.iter().position(|(place, ..)| match place {
        Place::Section(title) => *title == section,
        Place::Command(begin) => command.starts_with(begin),
    })?;
    let (_, file, test) = &ELSEWHERE[row];
    let text = std::fs::read_to_string(Path::new(ROOT).join(file)).unwrap();
    assert!(text.contains(&format!("#[test]\nfn {test}()")), "{file} has no test {test}");
    Some(row)
}

#[test]
fn every_command_of_the_readme_does_what_it_says() {
    let _turn = turn(Needs::Ports);
    let (mut terminal, mut rows) = (Terminal::open(), BTreeSet::new());
    for block in blocks() {
        if block.is_python() {
            terminal.programs(&block);
            continue;
        }
        if block.is_config() {
            terminal.configures(&block);
            continue;
        }
        for command in block.commands() {
            if let Some(row) = elsewhere(&block.section, &command) {
                rows.insert(row);
            } else if command.split_whitespace().any(|word| word == "cargo") {
                check_cargo(&command);
            } else {
                terminal.types(&command, block.line);
            }
        }
    }
    assert_eq!(rows.len(), ELSEWHERE.len(), "strike what the README does not say any more");
    assert!(terminal.typed > 30 && terminal.programs == 2, "{} commands were seen", terminal.typed);
}

fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn the_readme_names_errors_that_there_are() {
    let table = README.split("\n### Errors\n").nth(1).unwrap().split("\n### ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| -")?.split('|').nth(1));
    let reasons: Vec<&str> = rows.flat_map(|reasons| reasons.split('`').skip(1).step_by(2)).collect();
    let mut text = String::new();
    sources(&Path::new(ROOT).join("src"), &mut text);
    assert!(reasons.len() > 8, "{reasons:?}");
    for reason in reasons {
        assert!(text.contains(&format!("\"{reason}\"")), "no error has the reason {reason}");
    }
}

#[test]
fn the_readme_is_cut_into_commands_as_a_shell_takes_them() {
    let block = |lines: &[&str]| Block {
        section: String::new(),
        line: 1,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let cut = block(&[
        "cargo run --release -- wallet send \\",
        "    ADDRESS 5",
        "",
        "timed status   # what it does",
    ]);
    let spoken: Vec<String> =
        cut.commands().iter().map(|one| one.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(spoken, ["timed wallet send ADDRESS 5", "timed status"]);
    assert_eq!(moved("127.0.0.1:24201, 24300 and 242015 x24300"), "127.0.0.1:29201, 29300 and 242015 x24300");
    assert_eq!(value_of("timed init --home a b", "--home"), Some("a"));
    check_cargo("SIM_SEED=17 cargo test --test sim simulation");
    for wrong in [
        "cargo test --test nothing",
        "cargo test --test sim no_such_test",
        "NO_SUCH_VARIABLE=1 cargo test --test sim simulation",
        "cargo bench --bench nothing",
        "cargo frobnicate",
    ] {
        assert!(std::panic::catch_unwind(|| check_cargo(wrong)).is_err(), "{wrong}");
    }
    assert!(block(&["import json"]).is_python() && block(&["[rpc]"]).is_config());
}
