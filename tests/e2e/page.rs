//! The explorer under a real browser, with real clicks and keys. Where no Chromium is installed the tests say so and check
//! nothing.

use std::path::Path;

use serde_json::json;
use timed::rpc::types::{
    AddressHistory, BlockInfo, MasternodeInfo, TransactionStatus, TransactionStatusInfo,
};
use timed::types::genesis::Ratio;
use timed::types::{Address, Height, Network, SecretKey, TxId};

use crate::browser::Browser;
use crate::net::{Chain, Coin, Net, Node, run_to_end, timed, wait_for};
use crate::turns::Needs;

/// Coins that are spent twice; of most of them one node or another says who lost.
const RACES: u64 = 24;
/// A page of an address's history has 25.
const PAYMENTS: usize = 30;
/// A page of a block's transactions. Twice as many and some, paid at once, are in two blocks at most.
const BLOCK_PAGE: u64 = 100;
const CROWD: u64 = 2 * BLOCK_PAGE + 20;

fn link_of(txid: TxId) -> String {
    format!("a[href=\"#/tx/{txid}\"]")
}

fn address_of(key: &SecretKey) -> String {
    Address::of_key_hash(Network::Devnet, key.public().key_hash()).to_string()
}

#[test]
fn a_payment_is_seen_and_proved_with_clicks() {
    let Some(mut browser) = Browser::open() else { return };
    let net = Net::running(Needs::Ports);
    let node = &net.nodes[0];
    browser.go(node.url());
    browser.wait_text("#live", "live");
    // It comes by itself.
    let coin = net.chain.account(0);
    let payment = net.chain.spend(&coin, &coin.key, 2, "order 7");
    let txid = payment.txid();
    node.send(&payment).unwrap();
    wait_for("the payment on the page", || (browser.count(&link_of(txid)) > 0).then_some(()));
    browser.click(&link_of(txid));
    browser.wait_text("h1", "Transaction");
    browser.wait_text(".facts", "order 7");
    browser.wait_text(".way li:last-child", "block");
    assert_eq!(browser.count(".way li.done"), 5, "{}", browser.text(".way"));
    for station in 2..=4 {
        let shown = browser.text(&format!(".way li:nth-child({station})"));
        assert!(shown.contains(':'), "a time, not {shown:?}");
    }
    let main = browser.text("main");
    assert!(main.contains("Spends 1 output") && main.contains("Makes 2 outputs"), "{main}");
    assert_eq!(main.matches("unspent").count(), 3, "each output, and the head of the way: {main}");
    // Its coin is of the genesis document, which is no transaction.
    assert!(!main.contains("not known here"), "{main}");
    assert!(browser.text(".facts").contains("Fee"), "{}", browser.text(".facts"));
    browser.click(&link_of(coin.outpoint.txid));
    browser.wait_text("h1", "Genesis document");
    browser.go(&format!("{}/#/tx/{txid}", node.url()));
    browser.wait_text("h1", "Transaction");
    // The node's own document, one of another chain, and the right one.
    browser.click("[data-do=check]");
    browser.wait_text("#verdict", "The proof holds");
    assert!(browser.text("#verdict").contains("document that this node gave"));
    let genesis = net.home().join("devnet/genesis.toml");
    let other = net.home().join("other.toml");
    let text = std::fs::read_to_string(&genesis).unwrap();
    std::fs::write(&other, text.replacen("time_ms = 1", "time_ms = 2", 1)).unwrap();
    browser.choose_file("#genesis", &other);
    browser.click("[data-do=check]");
    browser.wait_text("#verdict", "Nothing is proved: it belongs to chain");
    browser.choose_file("#genesis", &genesis);
    browser.click("[data-do=check]");
    browser.wait_text("#verdict", "The proof holds");
    assert!(browser.text("#verdict").contains("genesis.toml"), "{}", browser.text("#verdict"));
    // What is saved is what the program checks.
    let saved = browser.saves();
    for (button, name, command) in
        [("saveProof", "proof", "verify-proof"), ("saveReceipt", "receipt", "verify-receipt")]
    {
        browser.click(&format!("[data-do={button}]"));
        let file = saved.join(format!("{name}-{}.json", &txid.to_string()[..8]));
        wait_for("the saved file", || file.exists().then_some(()));
        let mut check = timed();
        check.arg(command).arg(&file).arg("--genesis").arg(&genesis);
        let (code, output) = run_to_end(&mut check, &net.home().join("output"));
        assert_eq!(code, 0, "{output}");
    }
    check_what_is_brought(&mut browser, node.url(), (&saved, txid), [&genesis, &other]);
}

/// The page for proofs and receipts of anybody: `saved` has those of a payment, the documents are the right and a wrong one.
fn check_what_is_brought(
    browser: &mut Browser,
    url: &str,
    (saved, txid): (&Path, TxId),
    [genesis, other]: [&Path; 2],
) {
    let file = |kind: &str| saved.join(format!("{kind}-{}.json", &txid.to_string()[..8]));
    browser.go(&format!("{url}/#/check"));
    browser.wait_text("h1", "Check a proof or a receipt");
    browser.click("[data-do=checkGiven]");
    browser.wait_text("#verdict", "Nothing is proved: paste a proof or a receipt");
    browser.choose_file("#given", &file("receipt"));
    browser.choose_file("#document", genesis);
    browser.click("[data-do=checkGiven]");
    browser.wait_text("#verdict", "The proof holds");
    let main = browser.text("main");
    assert!(main.contains("Memo: order 7") && main.contains("genesis.toml"), "{main}");
    assert_eq!((browser.count(&link_of(txid)), browser.count("main table tbody tr")), (1, 2), "{main}");
    browser.choose_file("#document", other);
    browser.click("[data-do=checkGiven]");
    browser.wait_text("#verdict", "Nothing is proved: it belongs to chain");
    // A receipt that says more than its transaction.
    let receipt = std::fs::read_to_string(file("receipt")).unwrap();
    let forged = saved.join("forged.json");
    std::fs::write(&forged, receipt.replace("order 7", "order 8")).unwrap();
    browser.choose_file("#given", &forged);
    browser.choose_file("#document", genesis);
    browser.click("[data-do=checkGiven]");
    browser.wait_text("#verdict", "what the receipt says is not what its transaction says");
    // A proof that is pasted goes before the file.
    browser.click("#pasted");
    browser.write(&std::fs::read_to_string(file("proof")).unwrap());
    browser.click("[data-do=checkGiven]");
    browser.wait_text("#verdict", "The proof holds");
    // What is dropped is told apart by what it is, in any order.
    browser.go(&format!("{url}/#/peers"));
    browser.wait_text("h1", "peers");
    browser.go(&format!("{url}/#/check"));
    browser.wait_text("h1", "Check a proof or a receipt");
    let dropped = [genesis, &file("receipt")].map(|path| std::fs::read_to_string(path).unwrap());
    browser.value(&format!(
        "(() => {{ const transfer = new DataTransfer(); {}.forEach((text, at) => \
         transfer.items.add(new File([text], `dropped-${{at}}`))); document.getElementById('view').dispatchEvent(\
         new DragEvent('drop', {{ dataTransfer: transfer, bubbles: true }})); }})()",
        json!(dropped)
    ));
    browser.wait_text("#verdict", "The proof holds");
    let main = browser.text("main");
    assert!(main.contains("genesis document of dropped-0") && main.contains("Memo: order 7"), "{main}");
}

#[test]
fn a_devnets_page_gives_coins_and_shows_whose_votes_came_when() {
    let Some(mut browser) = Browser::open() else { return };
    let net = Net::running(Needs::Ports);
    let node = &net.nodes[0];
    let recipient = address_of(&SecretKey::from_seed(&[78; 32]));
    browser.go(node.url());
    browser.wait_text("#live", "live");
    browser.click("#recipient");
    browser.write("nonsense");
    browser.press("Enter");
    browser.wait_text("#given-by-faucet", "address");
    browser.value("document.getElementById('recipient').value = ''");
    browser.click("#recipient");
    browser.write(&recipient);
    browser.click("[data-do=give]");
    browser.wait_text("#given-by-faucet", "On its way");
    let txid = browser.text("#given-by-faucet a").parse::<TxId>().unwrap();
    node.wait_final(txid);
    let history: AddressHistory = node.call("getaddresshistory", &[json!(recipient)]);
    assert_eq!((history.history.len(), history.history[0].txid), (1, txid));
    // One payment alone says little: who hears of it late may find it in a block, and casts no vote.
    let _payer = net.pay_through(&[0, 1], 0);
    browser.go(&format!("{}/#/masternodes", node.url()));
    browser.wait_text("h1", "4 masternodes");
    wait_for("the votes of all", || (browser.text("main tbody").matches(" ms").count() == 8).then_some(()));
}

#[test]
fn an_address_shows_its_history_as_it_grows() {
    let Some(mut browser) = Browser::open() else { return };
    let net = Net::running(Needs::Ports);
    let node = &net.nodes[0];
    let (mut coin, key) = (net.chain.account(0), SecretKey::from_seed(&[77; 32]));
    let first = net.chain.spend(&coin, &key, 1, "first");
    node.send(&first).unwrap();
    coin = Chain::coins(&first, &key).remove(0);
    for _ in 0..PAYMENTS {
        let payment = net.chain.spend(&coin, &key, 1, "");
        node.send(&payment).unwrap();
        node.wait_final(payment.txid());
        coin = Chain::coins(&payment, &key).remove(0);
    }
    node.wait_confirmed(coin.outpoint.txid);
    browser.go(node.url());
    browser.wait_text("#live", "live");
    // By the keyboard alone.
    browser.press("/");
    assert_eq!(browser.value("document.activeElement.id"), "query");
    browser.press("Escape");
    assert_ne!(browser.value("document.activeElement.id"), "query");
    browser.press("/");
    browser.write(&address_of(&key));
    browser.press("Enter");
    browser.wait_text("h1", "Address");
    let rows = "main section:nth-of-type(2) tbody tr";
    wait_for("the first page", || (browser.count(rows) == 25).then_some(()));
    assert!(!browser.text("main").contains("Complete since"), "there is more");
    browser.click("[data-do=older]");
    wait_for("the rest", || (browser.count(rows) == 1 + PAYMENTS as u64).then_some(()));
    browser.wait_text("main section:nth-of-type(2)", "Complete since the genesis document");
    assert_eq!(browser.count(&format!("main section:nth-of-type(2) {}", link_of(first.txid()))), 1);
    // A payment comes while one looks, and what was loaded stays.
    let payment = net.chain.spend(&coin, &key, 1, "one more");
    node.send(&payment).unwrap();
    wait_for("the new payment", || (browser.count(&link_of(payment.txid())) > 0).then_some(()));
    assert_eq!(browser.count(rows), 2 + PAYMENTS as u64);
}

#[test]
fn the_page_goes_on_where_it_was_when_its_node_comes_back() {
    let Some(mut browser) = Browser::open() else { return };
    let mut net = Net::running(Needs::Ports);
    browser.go(net.nodes[0].url());
    browser.wait_text("#live", "live");
    net.nodes[0].kill();
    browser.wait_text("#live", "polling");
    browser.wait_text("#trouble", "The node does not answer");
    let coin = net.chain.account(0);
    let payment = net.chain.spend(&coin, &coin.key, 1, "meanwhile");
    net.nodes[1].send(&payment).unwrap();
    net.nodes[1].wait_confirmed(payment.txid());
    net.nodes[0].start();
    browser.wait_text("#live", "live");
    wait_for("the payment of the pause", || (browser.count(&link_of(payment.txid())) > 0).then_some(()));
    wait_for("no trouble any more", || browser.text("#trouble").is_empty().then_some(()));
}

/// Two payments of one coin, each sent to another node at the same time.
fn race(net: &Net, coin: &Coin) -> [TxId; 2] {
    let payments = ["one", "another"].map(|memo| net.chain.spend(coin, &coin.key, 1, memo));
    std::thread::scope(|scope| {
        for (node, payment) in [&net.nodes[0], &net.nodes[3]].into_iter().zip(&payments) {
            // The one that comes second is refused at times, which is for it to say.
            scope.spawn(move || drop(node.send(payment)));
        }
    });
    payments.map(|payment| payment.txid())
}

#[test]
fn a_payment_that_lost_its_coin_names_the_winner() {
    let Some(mut browser) = Browser::open() else { return };
    let net = Net::running_with(Needs::Ports, |parameters| parameters.epoch_duration_ms = 5_000);
    let coin = net.chain.account(0);
    let split = net.chain.spend(&coin, &coin.key, RACES, "");
    net.nodes[0].send(&split).unwrap();
    net.nodes.iter().for_each(|node| node.wait_final(split.txid()));
    let pairs: Vec<[TxId; 2]> = Chain::coins(&split, &coin.key).iter().map(|coin| race(&net, coin)).collect();
    let (node, lost) = wait_for("a payment that lost its coin", || {
        let ask = |node: &Node, txid: TxId| -> TransactionStatusInfo {
            node.call("gettransactionstatus", &[json!(txid)])
        };
        net.nodes.iter().find_map(|node| {
            let mut infos = pairs.iter().flatten().map(|txid| ask(node, *txid));
            infos.find(|info| info.status == TransactionStatus::Conflicted).map(|info| (node, info))
        })
    });
    let winner = lost.winner.unwrap();
    browser.go(&format!("{}/#/tx/{}", node.url(), lost.txid));
    browser.wait_text(".way .lost", "Conflicted");
    browser.click(&format!(".way .lost {}", link_of(winner)));
    browser.wait_text(".facts", &winner.to_string());
    browser.wait_text(".way li:last-child", "block");
}

/// The page of an active masternode has all that the chain says of it, and leads on from there.
fn tell_of(browser: &mut Browser, url: &str, member: &MasternodeInfo) {
    browser.go(url);
    browser.click(".cards a[href=\"#/masternodes\"]");
    browser.wait_text("h1", "4 masternodes");
    browser.click(&format!("main tbody a[href=\"#/masternode/{}\"]", member.id));
    browser.wait_text("h1", "Masternode");
    browser.wait_text(".facts", &member.id.to_string());
    let facts = browser.text(".facts");
    let operator = member.operator_key.to_string();
    let parts = [
        "active",
        "It votes.",
        "silver",
        "10,000 TIME",
        "in the genesis document",
        &operator,
        &member.address,
    ];
    for part in parts {
        assert!(facts.contains(part), "{part:?} in {facts}");
    }
    for linked in [member.owner, member.payout] {
        assert!(browser.count(&format!(".facts a[href=\"#/address/{linked}\"]")) > 0, "{facts}");
    }
    let collateral = member.collateral_outpoint.split(':').next().unwrap();
    assert_eq!(browser.count(&format!(".facts a[href=\"#/tx/{collateral}\"]")), 1, "{facts}");
}

#[test]
fn a_masternode_has_a_page_that_search_finds_and_says_when_it_is_jailed() {
    let Some(mut browser) = Browser::open() else { return };
    let mut net = Net::running_with(Needs::Ports, |parameters| {
        parameters.block_interval_ms = 500;
        parameters.epoch_duration_ms = 8_000;
        parameters.recent_commits = 10;
        // One of four may be jailed.
        parameters.jail_cap = Ratio { numerator: 1, denominator: 3 };
    });
    let key = net.nodes[3].node_status().masternode.unwrap();
    let of = |node: &Node| -> MasternodeInfo { node.call("getmasternode", &[json!(key)]) };
    let url = net.nodes[0].url().to_owned();
    let _payer = net.pay_through(&[0, 1], 0);
    tell_of(&mut browser, &url, &of(&net.nodes[0]));
    // Three kinds of votes, each of which has come.
    let votes = "main section:nth-of-type(2)";
    wait_for("its votes", || {
        let text = browser.text(&format!("{votes} tbody"));
        (browser.count(&format!("{votes} tbody tr")) == 3 && text.matches(" ms").count() == 12).then_some(())
    });
    browser.pictures("masternode-active");
    // By its name, from anywhere.
    browser.go(&format!("{url}/#/peers"));
    browser.wait_text("h1", "peers");
    browser.press("/");
    browser.write(&key.to_string());
    browser.press("Enter");
    browser.wait_text("h1", "Masternode");
    net.nodes[3].kill();
    browser.wait_text(".facts", "jailed (absence)");
    browser.wait_text(".facts", "until its operator un-jails it");
    let facts = browser.text(".facts");
    assert!(facts.contains("counts as exited after") && facts.contains("not connected here"), "{facts}");
    browser.wait_text(votes, "not in the set");
    browser.pictures("masternode-jailed");
    browser.go(&format!("{url}/#/masternode/{}", "5".repeat(64)));
    browser.wait_text("main", "masternode not found");
}

#[test]
fn a_blocks_many_transactions_are_drawn_as_they_are_asked_for() {
    let Some(mut browser) = Browser::open() else { return };
    let net = Net::running(Needs::Ports);
    let node = &net.nodes[0];
    let coin = net.chain.account(0);
    let split = net.chain.spend(&coin, &coin.key, CROWD, "");
    node.send(&split).unwrap();
    node.wait_confirmed(split.txid());
    let crowd: Vec<_> =
        Chain::coins(&split, &coin.key).iter().map(|coin| net.chain.spend(coin, &coin.key, 1, "")).collect();
    for sent in node.send_many(&crowd) {
        sent.unwrap();
    }
    let heights = crowd.iter().map(|payment| -> Height {
        node.wait_confirmed(payment.txid());
        let status: TransactionStatusInfo = node.call("gettransactionstatus", &[json!(payment.txid())]);
        status.height.unwrap()
    });
    let heights: std::collections::BTreeSet<Height> = heights.collect();
    let blocks =
        heights.into_iter().map(|height| -> BlockInfo { node.call("getblock", &[json!(height), json!(1)]) });
    let block = blocks.max_by_key(|block| block.tx.len()).unwrap();
    let all = block.tx.len() as u64;
    assert!(all > BLOCK_PAGE, "{all} in the fullest block");
    browser.go(&format!("{}/#/block/{}", node.url(), block.height));
    browser.wait_text("h1", "Block");
    let rows = "main section:nth-of-type(2) tbody tr";
    let mut shown = BLOCK_PAGE;
    wait_for("the first page", || (browser.count(rows) == shown).then_some(()));
    browser.wait_text("main section:nth-of-type(2)", &format!("{} more are not shown", all - shown));
    browser.pictures("block");
    while shown < all {
        browser.click("[data-do=moreTransactions]");
        shown = all.min(shown + BLOCK_PAGE);
        wait_for("one more page", || (browser.count(rows) == shown).then_some(()));
    }
    assert_eq!(browser.count("[data-do=moreTransactions]"), 0);
    // Who proposed it is a click away.
    browser.click(&format!(".facts a[href=\"#/masternode/{}\"]", block.proposer));
    browser.wait_text("h1", "Masternode");
}
