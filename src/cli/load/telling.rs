//! What a person sees while a load runs: a line of figures now and then, and which nodes stopped answering.

use std::time::Duration;

use super::Run;
use crate::cli::output::notice;
use crate::runtime::Clock;

/// A line comes each second for so long; a longer run is told each [`PAUSE_S`] seconds after that.
const OFTEN_S: u64 = 60;
const PAUSE_S: u64 = 10;

/// When the next line is due, and which nodes a person already knows not to answer.
pub(super) struct Telling {
    length: Duration,
    /// From which second on the next line is due, and the next look at the nodes.
    next_line: u64,
    next_look: u64,
    /// Which nodes were said not to answer.
    silent: Vec<bool>,
}

impl Telling {
    pub(super) fn new(length: Duration, nodes: usize) -> Self {
        Self { length, next_line: 1, next_look: 1, silent: vec![false; nodes] }
    }

    /// Tells what is due `elapsed` after the run's start.
    pub(super) fn tell(&mut self, run: &Run, elapsed: Duration) {
        let second = elapsed.as_secs();
        if second >= self.next_look {
            self.next_look = second.saturating_add(1);
            let down: Vec<bool> = {
                let meter = run.meter.lock();
                (0..self.silent.len()).map(|node| meter.is_down(node)).collect()
            };
            let urls: Vec<&str> = run.clients.iter().map(|client| client.url()).collect();
            self.changes(&down, &urls).iter().for_each(notice);
        }
        if second >= self.next_line {
            let pause = if second < OFTEN_S { 1 } else { PAUSE_S };
            self.next_line = second.saturating_add(pause);
            notice(run.meter.lock().progress(Clock.instant(), self.length));
        }
    }

    /// A line for each node that stopped or began to answer.
    fn changes(&mut self, down: &[bool], urls: &[&str]) -> Vec<String> {
        let others = down.iter().any(|down| !down);
        let mut lines = Vec::new();
        for ((silent, down), url) in self.silent.iter_mut().zip(down).zip(urls) {
            match (*silent, *down) {
                (false, true) if others => {
                    lines.push(format!(
                        "{url} does not answer; its payments go to the other nodes until it does"
                    ));
                }
                (false, true) => lines.push(format!(
                    "{url} does not answer, and no other node is left: what is due until one does is refused"
                )),
                (true, false) => lines.push(format!("{url} answers again")),
                (false, false) | (true, true) => {}
            }
            *silent = *down;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_that_stop_and_begin_to_answer_are_told_once_each() {
        let mut telling = Telling::new(Duration::from_secs(9), 2);
        let urls = ["http://a", "http://b"];
        assert_eq!(telling.changes(&[false, false], &urls), [] as [&str; 0]);
        let one = telling.changes(&[true, false], &urls);
        assert!(
            one.len() == 1 && one[0].starts_with("http://a does not answer; its payments go to"),
            "{one:?}"
        );
        assert_eq!(telling.changes(&[true, false], &urls), [] as [&str; 0]);
        let both = telling.changes(&[true, true], &urls);
        assert!(both.len() == 1 && both[0].starts_with("http://b does not answer, and no other"), "{both:?}");
        assert_eq!(telling.changes(&[false, true], &urls), ["http://a answers again"]);
    }
}
