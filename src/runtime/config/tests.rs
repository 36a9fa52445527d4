use super::*;

/// Loads a file's text, with variables and flags.
fn load(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Config::load(&ConfigSources { file: Some(path), environment: owned(environment), flags: owned(flags) })
}

fn message(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
    load(text, environment, flags).unwrap_err().to_string()
}

const DEVNET: &str = "[node]\nnetwork = \"devnet\"\n";

#[test]
fn the_network_sets_the_defaults() {
    let config = load(DEVNET, &[], &[]).unwrap();
    assert_eq!(config.network.listen_address.to_string(), "0.0.0.0:24200");
    assert_eq!(config.rpc.listen_address.to_string(), "127.0.0.1:24201");
    let config = Config::load(&ConfigSources::default()).unwrap();
    assert_eq!(config.node.network, Network::Mainnet);
    assert_eq!(config.network.listen_address.port(), 24_000);
}

/// INV-CONFIG-1.
#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let file = format!("{DEVNET}[network]\nmax_inbound = 1\nmax_outbound = 1\n[logging]\nlevel = \"warn\"\n");
    let environment = [
        ("TIMED_NETWORK__MAX_INBOUND", "2"),
        ("TIMED_NETWORK__MAX_OUTBOUND", "2"),
        ("TIMED_NETWORK__BOOTSTRAP_PEERS", "a.example:1, b.example:2"),
        ("TIMED_RPC__ENABLED", "false"),
        ("PATH", "/bin"),
    ];
    let config = load(&file, &environment, &[("network.max_inbound", "3")]).unwrap();
    assert_eq!((config.network.max_inbound, config.network.max_outbound), (3, 2));
    assert_eq!(config.logging.level, "warn");
    assert_eq!(config.network.bootstrap_peers, ["a.example:1", "b.example:2"]);
    assert!(!config.rpc.enabled);
    // The network of the environment sets the defaults too.
    let config = load(DEVNET, &[("TIMED_NODE__NETWORK", "testnet")], &[]).unwrap();
    assert_eq!(config.network.listen_address.port(), 24_100);
}

/// INV-CONFIG-3.
#[test]
fn paths_are_resolved_where_they_were_given() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("config.toml");
    std::fs::write(&path, format!("{DEVNET}data_dir = \"d\"\ngenesis = \"/etc/g.toml\"\n")).unwrap();
    let mut sources = ConfigSources {
        file: Some(path),
        environment: vec![("TIMED_LOGGING__FILE".into(), "log".into())],
        flags: Vec::new(),
    };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.node.data_dir, home.path().join("d"));
    assert_eq!(config.cookie_path(), home.path().join("d/.cookie"));
    assert_eq!(config.node.genesis, Some("/etc/g.toml".into()));
    assert_eq!(config.logging.file, Some(home.path().join("log")));
    sources.flags.push(("node.data_dir".into(), "e".into()));
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.node.data_dir, std::env::current_dir().unwrap().join("e"));
    assert!(Config::load(&ConfigSources::default()).unwrap().node.data_dir.is_absolute());
}

/// INV-CONFIG-2.
#[test]
fn unknown_keys_are_named_with_their_line_and_the_nearest_known_one() {
    for (text, parts) in [
        ("[node]\nnetwork = \"devnet\"\nnam = \"x\"\n", ["line 3", "node.nam is unknown", "node.name?"]),
        ("[netwrok]\n", ["line 1", "[netwrok] is unknown", "[network]?"]),
        ("\n[rpc]\ncookie = true\n", ["line 3", "rpc.cookie", "keys of [rpc] are enabled, listen_address"]),
        ("data_dir = \"x\"\n", ["line 1", "[data_dir]", "node.data_dir?"]),
        ("[storage]\nmax_bytes = 1\n", ["line 2", "storage.max_bytes", "mempool.max_bytes?"]),
        ("[zzz]\n", ["line 1", "[zzz]", "sections are node, network, rpc"]),
    ] {
        let message = message(text, &[], &[]);
        assert!(parts.iter().all(|part| message.contains(part)), "{message}");
    }
    for (variable, part) in [
        ("TIMED_RPC__LISTEN_ADRESS", "rpc.listen_address?"),
        ("TIMED_RCP__ENABLED", "[rpc]?"),
        ("TIMED_NODE_DATA_DIR", "TIMED_NODE__DATA_DIR?"),
        ("TIMED_42", "TIMED_SECTION__KEY"),
    ] {
        let message = message(DEVNET, &[(variable, "x")], &[]);
        assert!(message.contains(variable) && message.contains(part), "{message}");
    }
    assert!(message(DEVNET, &[], &[("node.nmae", "x")]).contains("command line: node.nmae is unknown"));
}

/// Who looks for them here learns where they are.
#[test]
fn keys_that_are_kept_elsewhere_say_where() {
    let parameter = "is a parameter of the chain";
    for (section, key, part) in [
        ("masternode", "payout", "timed masternode register --payout ADDRESS"),
        ("mempool", "expiry", "set mempool.expiry_s, in seconds"),
        ("consensus", "timeout_propose_ms", "timeout_propose is a parameter of the chain"),
        ("consensus", "timeout_prevote_ms", parameter),
        ("consensus", "timeout_precommit_ms", parameter),
        ("consensus", "timeout_propose_delta_ms", "[parameters] of the genesis document"),
        ("consensus", "timeout_commit_ms", "spaced by block_interval_ms, a parameter of the chain"),
        ("consensus", "timeout", "keys of [consensus] are vote_interval_ms"),
        ("consensus", "block_interval_ms", "block_interval_ms is a parameter of the chain"),
        ("mempool", "min_fee_per_kb", parameter),
    ] {
        let told = message(&format!("{DEVNET}[{section}]\n{key} = 5\n"), &[], &[]);
        assert!(
            told.contains(&format!("line 4: {section}.{key} is unknown; ")) && told.contains(part),
            "{told}"
        );
        let variable = format!("TIMED_{}__{}", section.to_uppercase(), key.to_uppercase());
        let told = message(DEVNET, &[(&variable, "5")], &[]);
        assert!(told.contains(&variable) && told.contains(part), "{told}");
    }
}

#[test]
fn bad_values_are_refused_with_their_place() {
    let key = "a".repeat(64);
    let cases: [(&str, &str); 38] = [
        ("[node]\nnetwork = \"moonnet\"", "line 2: node.network: unknown network \"moonnet\""),
        ("[node]\nnetwork = 7", "line 2: node.network"),
        ("[node]\nname = \"a\\nb\"", "line 2: node.name"),
        ("[node]\ndata_dir = \"\"", "line 2: node.data_dir"),
        ("[network]\nlisten_address = \"here\"", "line 2: network.listen_address"),
        ("[network]\nmax_inbound = -1", "line 2: network.max_inbound"),
        ("[network]\nmax_inbound = \"many\"", "line 2: network.max_inbound: invalid type"),
        ("[network]\nmax_outbound = 0", "line 2: network.max_outbound: must be 1 to 1,000"),
        ("[network]\nbootstrap_peers = [\"1.2.3.4\"]", "line 2: network.bootstrap_peers: \"1.2.3.4\" is not"),
        ("[network]\nbootstrap_peers = [\"a b:1\"]", "is not host:port"),
        ("[network]\nexternal_address = \"x:0\"", "line 2: network.external_address"),
        ("[network]\nmode = \"hidden\"", "line 2: network.mode"),
        ("[network]\nmode = \"behind_sentry\"", "line 2: network.mode: a node behind a sentry needs"),
        (
            "[network]\nmode = \"behind_sentry\"\nbootstrap_peers = [\"a:1\"]\nexternal_address = \"b:1\"",
            "line 4: network.external_address: a node behind a sentry tells nobody",
        ),
        (
            "[network]\nmode = \"behind_sentry\"\nbootstrap_peers = [\"a:1\"]\ndns_seeds = [\"b\"]",
            "line 4: network.dns_seeds: has no effect",
        ),
        ("[network]\ndns_seeds = [\"a b\"]", "line 2: network.dns_seeds"),
        ("[network]\ndns_seeds = [\"a:0\"]", "line 2: network.dns_seeds"),
        ("[network]\ndns_seeds = [\"::1\"]", "line 2: network.dns_seeds"),
        ("[rpc]\nauth = \"password\"", "line 2: rpc.auth"),
        ("[rpc]\nauth = \"users\"", "rpc.users: must name a user"),
        (
            "[rpc]\nauth = \"none\"\nlisten_address = \"0.0.0.0:1\"",
            "line 3: rpc.listen_address: without auth",
        ),
        ("[rpc]\nusers = [\"me:secret\"]", "line 2: rpc.users"),
        (
            "[rpc]\nlisten_address = \"127.0.0.1:24000\"",
            "rpc.listen_address: 127.0.0.1:24000 is taken by network",
        ),
        (
            "[network]\nexternal_address = \"0.0.0.0:24000\"",
            "network.external_address: \"0.0.0.0:24000\" is no address",
        ),
        ("[network]\nexternal_address = \"[ff02::1]:24000\"", "line 2: network.external_address"),
        ("[rpc]\nallowed_hosts = [\"node.example:1\"]", "line 2: rpc.allowed_hosts: each must be a name"),
        ("[rpc]\nallowed_hosts = [\"*\"]", "line 2: rpc.allowed_hosts"),
        ("[rpc]\nallowed_origins = [\"shop.example\"]", "line 2: rpc.allowed_origins: each must be http"),
        ("[rpc]\nallowed_origins = [\"https://shop.example/\"]", "line 2: rpc.allowed_origins"),
        ("[logging]\nmax_file_mb = 2000000", "line 2: logging.max_file_mb"),
        ("[logging]\nmax_old_files = 2000", "line 2: logging.max_old_files"),
        ("[storage]\ncache_mb = 1", "line 2: storage.cache_mb"),
        ("[storage]\nmin_free_mb = 2000000", "line 2: storage.min_free_mb"),
        ("[consensus]\nvote_interval_ms = 5000", "line 2: consensus.vote_interval_ms"),
        ("[mempool]\nmax_bytes = 5", "line 2: mempool.max_bytes"),
        ("[masternode]\nenabled = true", "masternode.operator_key: must name the file"),
        ("[logging]\nlevel = \"inof\"", "line 2: logging.level: \"inof\" is no level"),
        ("[logging]\nformat = \"xml\"", "line 2: logging.format"),
    ];
    for (text, part) in cases {
        let message = message(text, &[], &[]);
        assert!(message.contains(part), "{text}\n{message}");
    }
    let metrics = "[metrics]\nenabled = true\nlisten_address = \"127.0.0.1:24000\"";
    assert!(
        message(metrics, &[], &[])
            .contains("line 3: metrics.listen_address: 127.0.0.1:24000 is taken by network")
    );
    assert!(load(&metrics.replace("true", "false"), &[], &[]).is_ok());
    let users = format!("[rpc]\nauth = \"none\"\nusers = [\"me:salt${key}\"]");
    assert!(message(&users, &[], &[]).contains("line 3: rpc.users: has no effect"));
    assert!(load(&users.replace("none", "users"), &[], &[]).is_ok());
    let of_role = |role: &str| format!("[rpc]\nusers = [\"me:salt${key}:{role}\"]");
    assert!(["read", "wallet", "admin"].iter().all(|role| load(&of_role(role), &[], &[]).is_ok()));
    assert!(message(&of_role("root"), &[], &[]).contains("line 2: rpc.users: each must be name:salt$hash"));
    assert!(message("node = 1", &[], &[]).contains("line 1: node: is a section"));
    let text = message(DEVNET, &[("TIMED_RPC__ENABLED", "yes")], &[]);
    assert!(text.contains("TIMED_RPC__ENABLED: rpc.enabled: expected true or false, not \"yes\""), "{text}");
    assert!(message("[node", &[], &[]).contains("is not TOML"));
    let none = ConfigSources { file: Some("/nowhere/config.toml".into()), ..ConfigSources::default() };
    let told = Config::load(&none).unwrap_err().to_string();
    assert!(told.contains("/nowhere/config.toml can't be read"), "{told}");
    assert!(told.contains("`timed init") && told.contains("--config FILE"), "{told}");
    let home = tempfile::tempdir().unwrap();
    let directory = ConfigSources { file: Some(home.path().to_owned()), ..ConfigSources::default() };
    let told = Config::load(&directory).unwrap_err().to_string();
    assert!(told.contains("--config FILE") && !told.contains("timed init"), "there is something: {told}");
}

#[test]
fn names_that_lead_to_peers_have_the_networks_port_if_none_is_named() {
    let file = format!("{DEVNET}[network]\ndns_seeds = [\"a.example\", \"b.example:7\"]\n");
    let config = load(&file, &[], &[]).unwrap();
    assert_eq!(config.network.seeds(Network::Devnet), ["a.example:24200", "b.example:7"]);
    let many = vec!["\"a\""; DNS_SEEDS_MAX + 1].join(",");
    assert!(message(&format!("[network]\ndns_seeds = [{many}]\n"), &[], &[]).contains("at most 16"));
}

#[test]
fn rpc_without_auth_is_allowed_on_loopback() {
    assert!(load("[rpc]\nauth = \"none\"\n", &[], &[]).is_ok());
    assert!(load("[rpc]\nlisten_address = \"0.0.0.0:9\"\n", &[], &[]).is_ok());
}

/// The configuration in the repository makes a full node that joins the devnet of this machine.
#[test]
fn the_shipped_configuration_joins_the_devnet() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let config =
        Config::load(&ConfigSources { file: Some(path.clone()), ..ConfigSources::default() }).unwrap();
    assert_eq!(config.node.network, Network::Devnet);
    assert_eq!(config.network.bootstrap_peers, ["127.0.0.1:24200"]);
    assert!(!config.masternode.enabled);
    assert_eq!(config.node.data_dir, path.parent().unwrap().join("data"));
}
