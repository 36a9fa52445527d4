//! What signals do to a node, and to a whole devnet in one process.

use std::process::Stdio;

use crate::net::{Net, Process, timed, wait_for};
use crate::turns::Needs;

/// INV-SIGNALS-1.
#[test]
fn only_two_signals_stop_a_node_and_the_others_have_their_uses() {
    let mut net = Net::prepare(Needs::Ports, 4, |_| {});
    let node = &mut net.nodes[0];
    let text = std::fs::read_to_string(&node.config_path).unwrap();
    let (file, rotated) =
        (node.config_path.with_file_name("timed.log"), node.config_path.with_file_name("old.log"));
    let with_level = |level: &str| format!("{text}\n[logging]\nlevel = \"{level}\"\nfile = \"timed.log\"\n");
    std::fs::write(&node.config_path, with_level("info")).unwrap();
    node.start();
    let log = || std::fs::read_to_string(&file).unwrap_or_default();
    assert!(log().contains("Starting") && !log().contains("DEBUG"), "{}", log());

    std::fs::rename(&file, &rotated).unwrap();
    std::fs::write(&node.config_path, with_level("debug")).unwrap();
    node.process().signal("HUP");
    wait_for("the new log", || log().contains("Log reopened").then_some(()));
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
    let net = Net::prepare(Needs::Ports, 4, |_| {});
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

/// INV-WATCHDOG-1 from outside: what a service manager hears of a node.
#[test]
fn a_service_manager_hears_when_a_node_serves_lives_and_stops() {
    let net = Net::prepare(Needs::Ports, 4, |_| {});
    let path = net.home().join("notify");
    let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut command = timed();
    command.args(["run", "--config"]).arg(&net.nodes[0].config_path);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1500000").stdout(Stdio::null());
    let mut node = Process::spawn(&mut command);
    let mut heard = String::new();
    let mut hear = |part: &str, times: usize| {
        wait_for(part, || {
            let mut message = [0; 512];
            while let Ok(length) = manager.recv(&mut message) {
                heard.push_str(std::str::from_utf8(&message[..length]).unwrap());
            }
            (heard.matches(part).count() >= times).then_some(())
        });
        heard.clone()
    };
    let first = hear("READY=1", 1);
    assert!(first.contains("STATUS=serving devnet"), "{first}");
    assert!(!hear("WATCHDOG=1", 3).contains("STOPPING"));
    node.signal("TERM");
    hear("STOPPING=1", 1);
    assert_eq!(wait_for("its end", || node.exit_code()), 0);
}
