//! A Dockerfile, and a file for `docker compose`.

use super::made_by;
use crate::runtime::Config;
use crate::types::Network;

/// The user in the container, and who has to be able to read the files that are mounted into it.
const USER_ID: u32 = 10_001;
/// Where data and configuration are in the container.
const DATA: &str = "/data";
const CONFIG: &str = "/etc/timed/config.toml";

/// Arguments of `timed generate compose`.
#[derive(Debug, clap::Args)]
pub(super) struct ComposeArgs {
    /// The network, which decides the ports.
    #[arg(long, default_value = "mainnet")]
    network: Network,
}

/// The Dockerfile's text; it belongs into the directory of the source.
pub(super) fn dockerfile() -> String {
    let (made_by, rust) = (made_by("dockerfile"), env!("CARGO_PKG_RUST_VERSION"));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{made_by}
# Put it into the directory of the source, then: docker build --tag timed:{version} .
FROM rust:{rust}-bookworm AS build
WORKDIR /source
# The commit that `timed --version` tells: --build-arg BUILD_COMMIT=$(git rev-parse --short=12 HEAD).
ARG BUILD_COMMIT=""
COPY Cargo.toml Cargo.lock README.md ./
COPY src src
COPY benches benches
RUN cargo build --release --locked --bin timed

FROM debian:bookworm-slim
RUN useradd --system --uid {USER_ID} --no-create-home --shell /usr/sbin/nologin timed \
    && mkdir {DATA} /etc/timed \
    && chown timed: {DATA} \
    && chmod 700 {DATA}
COPY --from=build /source/target/release/timed /usr/local/bin/timed
USER timed
ENV TIMED_NODE__DATA_DIR={DATA}
VOLUME {DATA}
STOPSIGNAL SIGTERM
# Alive, that is; whether it follows the chain says `timed status`.
HEALTHCHECK --interval=30s --timeout=10s --start-period=10m \
    CMD ["timed", "rpc", "--config", "{CONFIG}", "uptime"]
ENTRYPOINT ["timed"]
CMD ["run", "--config", "{CONFIG}"]
"#
    )
}

/// The compose file's text.
pub(super) fn compose(args: &ComposeArgs) -> String {
    let (made_by, network) = (made_by("compose"), args.network);
    let defaults = Config::of_network(network);
    let peers = defaults.network.listen_address.port();
    let metrics = defaults.metrics.listen_address.port();
    let version = env!("CARGO_PKG_VERSION");
    format!(
        r#"{made_by}
# Beside it: the Dockerfile with the source, and config.toml (`timed init --network {network} --home .`), which the user
# {USER_ID} has to be able to read, as the genesis document and the operator key if it names them.
#
#   docker compose up --detach                         a node
#   docker compose --profile monitoring up --detach    and Prometheus, with alerts.yml (`timed generate alerts`)
#   docker compose exec node timed status --config {CONFIG}
services:
  node:
    build: .
    image: timed:{version}
    restart: on-failure:5
    init: true
    stop_grace_period: 20s
    environment:
      TIMED_NETWORK__LISTEN_ADDRESS: "0.0.0.0:{peers}"
      TIMED_METRICS__ENABLED: "true"
      TIMED_METRICS__LISTEN_ADDRESS: "0.0.0.0:{metrics}"
    ports:
      - "{peers}:{peers}"
    volumes:
      - data:{DATA}
      - .:/etc/timed:ro
    read_only: true
    cap_drop: [ALL]
    security_opt: ["no-new-privileges:true"]
    ulimits:
      nofile: 65536
    logging:
      options:
        max-size: 100m
        max-file: "5"

  prometheus:
    image: prom/prometheus
    profiles: [monitoring]
    restart: unless-stopped
    command:
      - --config.file=/etc/prometheus/prometheus.yml
      - --storage.tsdb.path=/prometheus
    configs:
      - source: prometheus
        target: /etc/prometheus/prometheus.yml
    volumes:
      - ./alerts.yml:/etc/prometheus/alerts.yml:ro
      - prometheus:/prometheus
    ports:
      - "127.0.0.1:9090:9090"

volumes:
  data:
  prometheus:

configs:
  prometheus:
    content: |
      global:
        scrape_interval: 15s
      rule_files: [/etc/prometheus/alerts.yml]
      scrape_configs:
        - job_name: timed
          static_configs:
            - targets: ["node:{metrics}"]
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compose_file_has_the_ports_of_the_network() {
        for (network, peers, metrics) in
            [(Network::Mainnet, 24_000, 24_002), (Network::Testnet, 24_100, 24_102)]
        {
            let text = compose(&ComposeArgs { network });
            let expected = [format!("- \"{peers}:{peers}\""), format!("targets: [\"node:{metrics}\"]")];
            assert!(expected.iter().all(|part| text.contains(part)), "{text}");
            assert!(!text.contains(&format!("\"{}:", peers + 1)), "RPC is not shown to other machines");
        }
    }

    /// A Dockerfile that lacks a file builds nothing.
    #[test]
    fn the_dockerfile_copies_all_that_the_build_reads() {
        let text = dockerfile();
        let copied: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("COPY ")?.rsplit_once(' '))
            .flat_map(|(names, _)| names.split(' '))
            .collect();
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["Cargo.toml", "Cargo.lock", "README.md", "src", "benches"] {
            assert!(copied.contains(&name) && root.join(name).exists(), "{name}: {copied:?}");
        }
        assert!(text.contains(concat!("FROM rust:", env!("CARGO_PKG_RUST_VERSION"), "-")), "{text}");
    }

    /// What the files set by variables are keys of the configuration, with values that it takes.
    #[test]
    fn the_variables_of_both_files_are_understood() {
        let (image, compose) = (dockerfile(), compose(&ComposeArgs { network: Network::Mainnet }));
        let of_image = image.lines().filter_map(|line| line.strip_prefix("ENV ")?.split_once('='));
        let of_compose = compose.lines().filter_map(|line| line.trim().split_once(": "));
        let environment: Vec<(String, String)> = of_image
            .chain(of_compose.filter(|(name, _)| name.starts_with("TIMED_")))
            .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
            .collect();
        assert_eq!(environment.len(), 4, "{environment:?}");
        let sources = crate::runtime::ConfigSources { environment, ..Default::default() };
        let config = Config::load(&sources).unwrap();
        assert!(config.metrics.enabled && config.node.data_dir == std::path::Path::new(DATA));
    }
}
