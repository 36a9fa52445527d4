//! What a node does with input that is wrong or hostile.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use timed::app::networks::devnet_genesis;
use timed::cli::rpc_client::RpcCommandError;
use timed::types::{Amount, ChainId, OutPoint, SecretKey, Transaction, TxId};

use crate::net::{Chain, Coin, DEADLINE, Net, run_to_end, timed};
use crate::turns::Needs;

fn run_node(config: &Path, output: &Path) -> (i32, String) {
    run_to_end(timed().args(["run", "--config"]).arg(config), output)
}

#[test]
fn a_node_that_can_not_start_says_why() {
    let mut net = Net::prepare(Needs::Ports, 4, |_| {});
    let output = net.home().join("output");
    let config = net.nodes[0].config_path.clone();
    let text = std::fs::read_to_string(&config).unwrap();

    std::fs::write(&config, text.replace("bootstrap_peers", "bootstrap_pears")).unwrap();
    let (code, said) = run_node(&config, &output);
    assert!(code == 2 && said.contains("bootstrap_peers"), "{code}: {said}");

    std::fs::write(&config, &text).unwrap();
    let address = format!("127.0.0.1:{}", net.port(0));
    let taken = TcpListener::bind(&address).unwrap();
    let (code, said) = run_node(&config, &output);
    assert!(code == 1 && said.contains(&address), "{code}: {said}");
    drop(taken);

    let votes = config.parent().unwrap().join("data/votes");
    let aside = votes.with_extension("aside");
    std::fs::rename(&votes, &aside).unwrap();
    let (code, said) = run_node(&config, &output);
    assert!(code == 3 && said.contains("timed votes new"), "{code}: {said}");
    std::fs::rename(&aside, &votes).unwrap();

    net.nodes[0].start();
    let twin = config.parent().unwrap().join("twin.toml");
    let text = [net.port(0), net.port(0) + 1, net.port(0) + 200]
        .iter()
        .fold(text, |text, port| text.replace(&format!("\"127.0.0.1:{port}\""), "\"127.0.0.1:0\""));
    std::fs::write(&twin, &text).unwrap();
    let (code, said) = run_node(&twin, &output);
    assert!(code == 3 && said.contains("in use"), "{code}: {said}");
    net.nodes[0].kill();

    let mut document = devnet_genesis(4);
    document.time_ms += 1;
    std::fs::write(net.home().join("devnet/genesis.toml"), document.to_toml().unwrap()).unwrap();
    let (code, said) = run_node(&twin, &output);
    assert!(code == 3 && said.contains(&net.chain.id.to_string()), "{code}: {said}");
}

fn assert_refused(net: &Net, transaction: &Transaction, code: i32, reason: &str) {
    match net.nodes[0].send(transaction) {
        Err(RpcCommandError::Refused { code: found, reason: found_reason, hint, .. }) => {
            assert_eq!((found, found_reason.as_str()), (code, reason));
            assert!(!hint.is_empty());
        }
        other => panic!("{reason}: {other:?}"),
    }
}

/// What is refused has touched nothing, and the answer names the rule.
#[test]
fn bad_transactions_are_refused_with_their_reason() {
    let net = Net::running(Needs::Ports);
    let chain = &net.chain;
    let coin = chain.account(0);

    let mut foreign = chain.spend(&coin, &coin.key, 1, "");
    foreign = foreign.signed(&ChainId([7; 32]), &[&coin.key]);
    assert_refused(&net, &foreign, -26, "bad_signature");
    let stranger = SecretKey::from_seed(&[61; 32]);
    let stolen = chain.spend(&Coin { key: stranger.clone(), ..coin.clone() }, &stranger, 1, "");
    assert_refused(&net, &stolen, -26, "missing_witness");
    let nowhere = OutPoint { txid: TxId([9; 32]), index: 0 };
    let unknown = chain.spend(&Coin { outpoint: nowhere, ..coin.clone() }, &coin.key, 1, "");
    assert_refused(&net, &unknown, -25, "inputs_unknown");
    let cheap = chain.spend_paying(&coin, &coin.key, 1, "", Amount(999));
    assert_refused(&net, &cheap, -26, "fee_too_low");
    let rich = Coin { value: Amount(coin.value.0 + 1_000_000), ..coin.clone() };
    assert_refused(&net, &chain.spend(&rich, &coin.key, 1, ""), -26, "overspent");
    let bound = chain.document.collateral_outpoint(0);
    let owner = timed::app::networks::devnet_owner_key(0);
    let collateral = Coin { outpoint: bound, value: Amount::from_time(10_000).unwrap(), key: owner.clone() };
    assert_refused(&net, &chain.spend(&collateral, &owner, 1, ""), -26, "collateral_bound");
    let malformed = net.nodes[0].try_call::<TxId>("sendrawtransaction", &["00ff".into()]);
    assert!(matches!(malformed, Err(RpcCommandError::Refused { code: -22, .. })), "{malformed:?}");

    // None of these has touched the coin.
    let payment = chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes[0].wait_final(payment.txid());
    net.nodes[0].wait_confirmed(payment.txid());
    let again = chain.spend(&coin, &coin.key, 1, "again");
    assert_refused(&net, &again, -25, "bad_txns_inputs_spent");
    assert_refused(&net, &payment, -27, "already_in_chain");
    // Without the cookie nothing is taken.
    let next = Chain::coins(&payment, &coin.key).remove(0);
    let hexadecimal = hex::encode(timed::types::codec::encode(&chain.spend(&next, &coin.key, 1, "")));
    let output = net.home().join("output");
    let url = net.nodes[0].url();
    let (code, said) =
        run_to_end(timed().args(["rpc", "--rpc", url, "sendrawtransaction", &hexadecimal]), &output);
    assert!(code == 1 && said.contains("credentials"), "{code}: {said}");
}

#[test]
fn a_hostile_socket_is_closed_and_blocks_go_on() {
    let net = Net::running(Needs::Ports);
    let height = net.nodes[0].height();
    let garbage: Vec<u8> = (0..4_096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let long_frame = [&[0xff; 4][..], &[0; 64]].concat();
    let http = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_vec();
    // Within the limit of a handshake's message, but none.
    let framed = [&[0, 48][..], &[0x55; 48]].concat();
    for bytes in [&long_frame, &garbage, &http, &framed, &vec![0, 0], &Vec::new()] {
        let mut socket = TcpStream::connect(("127.0.0.1", net.port(0))).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // The node may close before all is written.
        let _written = socket.write_all(bytes);
        let mut answer = Vec::new();
        let closed = socket.read_to_end(&mut answer);
        let timed_out = closed.as_ref().is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        });
        assert!(!timed_out, "open after {:?}", &bytes[..bytes.len().min(8)]);
        assert!(answer.len() < 4_096);
    }
    net.nodes[0].wait_height(height + 2);
    let coin = net.chain.account(0);
    let payment = net.chain.spend(&coin, &coin.key, 1, "");
    net.nodes[0].send(&payment).unwrap();
    net.nodes[0].wait_final(payment.txid());
    net.assert_one_chain();
}
