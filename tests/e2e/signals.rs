//! What signals do to a node, and to a whole devnet in one process.

use std::process::Stdio;

use crate::net::{Net, Process, timed, wait_for};

/// INV-SIGNALS-1.
#[test]
fn only_two_signals_stop_a_node_and_the_others_have_their_uses() {
    let mut net = Net::prepare(4, |_| {});
    let node = &mut net.nodes[0];
    let text = std::fs::read_to_string(&node.config_path).unwrap();
    let (file, rotated) =
        (node.config_path.with_file_name("timed.log"), node.config_path.with_file_name("old.log"));
    let with_level = |level: &str| format!("{text}\n[logging]\nlevel = \"{level}\"\nfile = \"timed.log\"\n");
    std::fs::write(&node.config_path, with_level("info")).unwrap();
    node.start();
    let log = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(log().contains("starting") && !log().contains("DEBUG"), "{}", log());

    std::fs::rename(&file, &rotated).unwrap();
    std::fs::write(&node.config_path, with_level("debug")).unwrap();
    node.process().signal("HUP");
    wait_for("the new log", || log().contains("log reopened").then_some(()));
    wait_for("lines of the new level", || log().contains("DEBUG").then_some(()));
    // A configuration that is wrong now ends no node, and the log is rotated all the same.
    std::fs::rename(&file, &rotated).unwrap();
    std::fs::write(&node.config_path, text.replace("[node]", "[nod]")).unwrap();
    node.process().signal("HUP");
    wait_for("what is wrong", || log().contains("configuration can't be read again").then_some(()));
    for name in ["USR1", "USR2"] {
        node.process().signal(name);
        wait_for("the line about it", || log().contains(&format!("SIG{name}")).then_some(()));
    }
    assert_eq!((node.exit_code(), node.height()), (None, 0), "it runs and answers");
    node.stop();
    assert!(log().contains("SIGTERM") && log().contains("Graceful shutdown complete"), "{}", log());
}

/// INV-SIGNALS-1.
#[test]
fn a_devnet_stops_by_the_same_two_alone() {
    let net = Net::prepare(4, |_| {});
    let output = net.home().join("devnet.out");
    let file = std::fs::File::create(&output).unwrap();
    let mut command = timed();
    command.arg("devnet").arg("--dir").arg(net.home().join("devnet"));
    command.stdout(Stdio::from(file.try_clone().unwrap())).stderr(Stdio::from(file));
    let mut devnet = Process::spawn(&mut command);
    let said = || std::fs::read_to_string(&output).unwrap();
    wait_for("its first block", || said().contains("\nblock ").then_some(()));
    let log = net.home().join("devnet/devnet.log");
    std::fs::remove_file(&log).unwrap();
    devnet.signal("HUP");
    wait_for("the new log", || (said().contains("the log was reopened") && log.exists()).then_some(()));
    devnet.signal("USR1");
    wait_for("the line about it", || said().contains("SIGUSR1 is ignored").then_some(()));
    assert_eq!(devnet.exit_code(), None);
    devnet.signal("INT");
    let code = wait_for("its end", || devnet.exit_code());
    assert!(code == 0 && said().contains("Graceful shutdown complete"), "{code}: {}", said());
}
