//! The bugs, in the order of the table at the head of `mutants.rs`.

/// A bug to be planted.
pub struct Mutant {
    pub name: &'static str,
    /// Where, from the crate's root.
    pub file: &'static str,
    /// What stands there, once.
    pub old: &'static str,
    /// What is put in its place.
    pub new: &'static str,
    /// Tests, each with the words by which cargo finds its target. At least one has to fail.
    pub caught_by: &'static [&'static str],
}

pub const MUTANTS: &[Mutant] = &[
    // -- data -----------------------------------------------------------------------------------------------------
    Mutant {
        name: "quorum_without_the_one",
        file: "src/types/masternode.rs",
        old: "doubled.checked_div(3).unwrap_or(0).saturating_add(1);",
        new: "doubled.checked_div(3).unwrap_or(0);",
        caught_by: &["--lib types::masternode::tests::the_quorum_is_more_than_two_thirds"],
    },
    Mutant {
        name: "sum_wraps",
        file: "src/types/amount.rs",
        old: "match self.0.checked_add(other.0) {",
        new: "match Some(self.0.wrapping_add(other.0)) {",
        caught_by: &["--lib types::amount::tests::sums_do_not_wrap"],
    },
    Mutant {
        name: "merkle_root_without_count",
        file: "src/types/merkle.rs",
        old: "DomainHasher::new(Domain::MerkleRoot).u64(leaves)",
        new: "DomainHasher::new(Domain::MerkleRoot)",
        caught_by: &["--lib types::merkle::tests::every_path_of_every_small_tree_leads_to_the_root"],
    },
    Mutant {
        name: "growing_tree_joins_one_pair_alone",
        file: "src/types/merkle.rs",
        old: "for _ in 0..self.leaves.trailing_ones() {",
        new: "for _ in 0..self.leaves.trailing_ones().min(1) {",
        caught_by: &["--lib types::merkle::tests::a_tree_that_grew_has_the_root_of_all_its_leaves"],
    },
    Mutant {
        name: "every_block_taken_for_an_epochs_end",
        file: "src/protocol/state.rs",
        old: "        if header.epoch_end {\n            self.epoch_ends.push",
        new: "        if header.height > 0 {\n            self.epoch_ends.push",
        caught_by: &[
            "--lib protocol::transition::tests::each_header_proves_the_last_blocks_of_all_epochs_below_it",
        ],
    },
    Mutant {
        name: "block_vote_without_chain",
        file: "src/types/vote.rs",
        old: "DomainHasher::new(domain)\n        .bytes(&chain_id.0)\n",
        new: "DomainHasher::new(domain)\n",
        caught_by: &[
            "--lib types::vote::tests::block_votes_of_other_step_height_round_epoch_value_and_chain_differ",
        ],
    },
    Mutant {
        name: "vote_batch_without_chain",
        file: "src/types/vote.rs",
        old: "DomainHasher::new(Domain::VoteBatch)\n            .bytes(&chain_id.0)\n",
        new: "DomainHasher::new(Domain::VoteBatch)\n",
        caught_by: &["--lib types::vote::tests::batches_and_proposals_are_bound_to_the_chain"],
    },
    // -- transactions ---------------------------------------------------------------------------------------------
    Mutant {
        name: "input_twice",
        file: "src/protocol/validity.rs",
        old: ".find(|(input, next)| input == next)",
        new: ".find(|_| false)",
        caught_by: &["--lib protocol::validity::tests::each_rule_of_the_shape_is_held"],
    },
    Mutant {
        name: "unneeded_witness_ignored",
        file: "src/protocol/validity.rs",
        old: ".find(|(_, lock)| needed.get(lock) != Some(&true))",
        new: ".find(|_| false)",
        caught_by: &["--lib protocol::validity::tests::each_rule_of_spending_is_held"],
    },
    // -- masternodes and rewards ----------------------------------------------------------------------------------
    Mutant {
        name: "jail_without_cap",
        file: "src/protocol/masternodes/membership.rs",
        old: "if u128::from(with).saturating_mul(u128::from(cap.denominator)) > room {",
        new: "if room == u128::MAX {",
        caught_by: &[
            "--lib protocol::masternodes::tests::end_of_epoch::the_absent_are_jailed_under_the_caps",
        ],
    },
    Mutant {
        name: "newcomer_weighs_all_at_once",
        file: "src/protocol/masternodes/payloads.rs",
        old: "effective_weight: ENTRY_WEIGHT,",
        new: "effective_weight: weight,",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::a_gold_one_that_never_comes_up_cannot_stop_the_chain",
        ],
    },
    Mutant {
        name: "the_dead_grow_by_old_attendance",
        file: "src/protocol/masternodes/attendance.rs",
        old: "            && !self.misses(newest.min(self.counted), max_missed)",
        new: "            && newest < u32::MAX",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::nobody_grows_by_what_it_signed_in_earlier_epochs",
        ],
    },
    Mutant {
        name: "all_newcomers_on_trial_at_once",
        file: "src/protocol/masternodes/membership.rs",
        old: "    tried.truncate(trials(number, weight, parameters));",
        new: "    tried.truncate(trials(number, weight, parameters).max(100));",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::no_crowd_that_never_comes_up_can_stop_the_chain",
        ],
    },
    Mutant {
        name: "growing_member_jailed_under_the_cap_only",
        file: "src/protocol/masternodes/membership.rs",
        old: "        if !record.is_growing() {\n            let with",
        new: "        if weight > 0 {\n            let with",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::a_growing_member_that_dies_is_jailed_beyond_the_cap_and_starts_again",
        ],
    },
    Mutant {
        name: "no_unbonding",
        file: "src/protocol/masternodes/registry.rs",
        old: "Some(left.saturating_add(unbonding_time_ms))",
        new: "Some(left.saturating_add(unbonding_time_ms.min(0)))",
        caught_by: &[
            "--lib protocol::masternodes::tests::unbonding::a_collateral_is_free_in_epochs_that_start_later_than_the_unbonding_time",
        ],
    },
    Mutant {
        name: "reward_rest_lost",
        file: "src/protocol/rewards.rs",
        old: "own.0 = own.0.saturating_add(rest);",
        new: "own.0 = own.0.saturating_add(rest.min(0));",
        caught_by: &[
            "--lib protocol::rewards::tests::the_rest_goes_to_the_proposer_and_shares_of_nothing_are_left_out",
        ],
    },
    Mutant {
        name: "reward_minted_twice",
        file: "src/protocol/rewards.rs",
        old: "rest = rest.saturating_sub(share);",
        new: "rest = rest.saturating_sub(share >> 1);",
        caught_by: &["--lib protocol::rewards::tests::payouts_sum_to_the_pot"],
    },
    // -- commits and evidence -------------------------------------------------------------------------------------
    Mutant {
        name: "commit_signatures_unchecked",
        file: "src/protocol/commit.rs",
        old: "verifier.verify_all(&checks).map_err(|bad| {",
        new: "verifier.verify_all(&checks[..0]).map_err(|bad| {",
        caught_by: &["--lib protocol::transition::tests::each_rule_of_the_last_commit_is_held"],
    },
    Mutant {
        name: "evidence_of_two_epochs",
        file: "src/protocol/evidence.rs",
        old: "let place = |side: &LockVoteProof| (side.vote.header.validator, side.vote.header.epoch);",
        new: "let place = |side: &LockVoteProof| side.vote.header.validator;",
        caught_by: &["--lib protocol::evidence::tests::what_honest_validators_sign_is_no_evidence"],
    },
    Mutant {
        name: "evidence_of_unrelated_transactions",
        file: "src/protocol/evidence.rs",
        old: "if !second.transaction.inputs.iter().any(|outpoint| inputs.contains(outpoint)) {",
        new: "if inputs.is_empty() {",
        caught_by: &["--lib protocol::evidence::tests::what_honest_validators_sign_is_no_evidence"],
    },
    // -- finality -------------------------------------------------------------------------------------------------
    Mutant {
        name: "vote_counted_twice",
        file: "src/protocol/finality/tally.rs",
        old: "if self.voters.contains(member) {",
        new: "if false {",
        caught_by: &[
            "--lib protocol::finality::tests::a_quorum_certifies_and_makes_final_and_one_less_does_not",
        ],
    },
    Mutant {
        name: "old_epochs_votes_count",
        file: "src/protocol/finality/machine/counting.rs",
        old: "if batch.header.epoch != self.epoch {",
        new: "if batch.header.epoch > self.epoch {",
        caught_by: &["--lib protocol::finality::tests::votes_of_an_ended_epoch_count_no_more"],
    },
    Mutant {
        name: "old_epochs_certificates_count",
        file: "src/protocol/finality/machine/counting.rs",
        old: "if certificate.epoch != self.epoch {",
        new: "if certificate.epoch > self.epoch {",
        caught_by: &["--lib protocol::finality::tests::votes_of_an_ended_epoch_count_no_more"],
    },
    Mutant {
        name: "child_of_a_parent_that_is_not_final",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "let parent = self.entries.get(&outpoint.txid).filter(|entry| entry.is_final);",
        new: "let parent = self.entries.get(&outpoint.txid);",
        caught_by: &[
            "--lib protocol::finality::tests::a_child_that_comes_after_its_parent_waits_for_finality_too",
        ],
    },
    Mutant {
        name: "lock_vote_after_closing",
        file: "src/protocol/finality/machine.rs",
        old: "if self.is_silent() {\n            return;\n        }\n        let must_wait",
        new: "if self.my_place.is_none() || self.held {\n            return;\n        }\n        let must_wait",
        caught_by: &[
            "--lib protocol::finality::tests::after_the_last_ordinary_block_no_vote_is_cast_until_the_next_epoch",
        ],
    },
    Mutant {
        name: "votes_not_held_before_closing",
        file: "src/consensus/blocks/mod.rs",
        old: "        self.hold_votes_behind(&vote, finality, at, out);\n        let mut records",
        new: "        let mut records",
        caught_by: &[
            "--lib consensus::tests::closing::votes_are_held_from_the_precommit_of_the_last_ordinary_block_to_the_next_epoch",
        ],
    },
    Mutant {
        name: "votes_not_held_after_a_restart",
        file: "src/consensus/blocks/mod.rs",
        old: "self.hold_votes_behind(&vote, finality, at, out);\n                Message::BlockVote(vote)",
        new: "Message::BlockVote(vote)",
        caught_by: &["--lib consensus::tests::closing::a_restart_behind_that_precommit_holds_votes_as_well"],
    },
    Mutant {
        name: "votes_not_held_while_a_block_is_written",
        file: "src/consensus/blocks/mod.rs",
        old: "finality.hold(true, at, out);\n        }\n        let spent",
        new: "}\n        let spent",
        caught_by: &[
            "--lib consensus::tests::closing::votes_are_held_while_a_block_that_others_decided_is_written",
        ],
    },
    Mutant {
        name: "held_votes_not_sent",
        file: "src/consensus/blocks/mod.rs",
        old: "finality.hold(false, at, out);\n                finality.flush_if_due(at, out);",
        new: "finality.hold(false, at, out);",
        caught_by: &["--lib consensus::tests::closing::votes_are_held_for_one_round_only"],
    },
    Mutant {
        name: "vote_interval_asks_the_clock_again",
        file: "src/consensus/finality/mod.rs",
        old: "if self.pending.wait_is_over() {\n            self.flush(at, out);\n        }",
        new: "if self.pending.wait_is_over() {\n            self.flush_if_due(at, out);\n        }",
        caught_by: &["--lib consensus::tests::batches::a_wait_ends_though_the_clock_was_set_back"],
    },
    Mutant {
        name: "early_evidence_forgotten",
        file: "src/consensus/evidence.rs",
        old: "is_early(&piece, at) => self.early.push(piece),",
        new: "is_early(&piece, at) => drop(piece),",
        caught_by: &["--lib consensus::tests::evidence::evidence_waits_for_a_chain_that_was_lost"],
    },
    Mutant {
        name: "votes_held_in_later_rounds",
        file: "src/consensus/blocks/mod.rs",
        old: "finality.hold(false, at, out);",
        new: "",
        caught_by: &["--lib consensus::tests::closing::votes_are_held_for_one_round_only"],
    },
    Mutant {
        name: "evidence_forgotten_with_its_epoch",
        file: "src/consensus/dispatch.rs",
        old: "records.extend(self.evidence.all().cloned().map(JournalRecord::Evidence));",
        new: "",
        caught_by: &[
            "--lib consensus::tests::evidence::evidence_outlives_the_end_of_its_epoch_and_goes_with_the_block_that_has_it",
        ],
    },
    Mutant {
        name: "lock_forgotten_at_restart",
        file: "src/protocol/finality/machine/signer.rs",
        old: "self.locks.get_or_insert(outpoint, vote.txid);",
        new: "drop(outpoint);",
        caught_by: &[
            "--lib protocol::finality::tests::a_restart_does_not_forget_votes_locks_promises_or_closing",
        ],
    },
    // -- blocks ---------------------------------------------------------------------------------------------------
    Mutant {
        name: "tendermint_lock_forgotten_at_restart",
        file: "src/protocol/bft/machine/restart.rs",
        old: "Some((*round, (*value)?))).next_back();",
        new: "Some((*round, (*value)?))).next_back().filter(|_| false);",
        caught_by: &["--lib protocol::bft::tests::restart::a_restored_lock_refuses_another_block"],
    },
    Mutant {
        name: "vote_of_another_life_not_remembered",
        file: "src/protocol/bft/machine/restart.rs",
        old: "self.signed.entry((vote.round, vote.step)).or_insert(vote.value);",
        new: "drop(vote);",
        caught_by: &["--lib protocol::bft::tests::restart::a_prevote_is_sent_again_and_no_other_one_cast"],
    },
    Mutant {
        name: "lock_does_not_refuse",
        file: "src/protocol/bft/machine.rs",
        old: "None => self.locked.is_some_and(|(_, locked)| locked != kept.hash),",
        new: "None => false,",
        caught_by: &[
            "--lib protocol::bft::tests::lines::line_23_a_lock_refuses_another_first_proposal_at_once",
        ],
    },
    Mutant {
        name: "proof_of_lock_not_asked_for",
        file: "src/protocol/bft/machine.rs",
        old: "if !self.votes.has_quorum(pol_round, VoteStep::Prevote, Some(kept.hash)) {",
        new: "if false {",
        caught_by: &[
            "--lib protocol::bft::tests::lines::line_28_a_proof_of_lock_stands_for_the_local_checks_and_unlocks",
        ],
    },
    Mutant {
        name: "valid_value_not_proposed_again",
        file: "src/protocol/bft/machine.rs",
        old: "let again = self.valid.and_then(",
        new: "let again = self.valid.filter(|_| false).and_then(",
        caught_by: &[
            "--lib protocol::bft::tests::lines::line_14_the_proposer_builds_or_proposes_its_valid_value_again",
        ],
    },
    Mutant {
        name: "closing_block_not_full",
        file: "src/protocol/transition.rs",
        old: "if state.is_closing() && !draft.epoch_end && !capacity.is_full(bytes, count) {",
        new: "if false {",
        caught_by: &[
            "--lib protocol::transition::tests::a_blocks_bytes_are_limited_and_a_closing_block_is_full_or_the_last",
        ],
    },
    Mutant {
        name: "epoch_ended_without_a_promise",
        file: "src/consensus/blocks/candidates.rs",
        old: "if ends_epoch { finality.promises_outside(transfers) } else { Vec::new() };",
        new: "if ends_epoch && false { finality.promises_outside(transfers) } else { Vec::new() };",
        caught_by: &["--lib consensus::tests::no_epoch_ends_without_what_was_promised"],
    },
    Mutant {
        name: "uncertified_prevoted",
        file: "src/consensus/blocks/candidates.rs",
        old: "            && self.uncertified.is_empty()\n",
        new: "",
        caught_by: &["--lib consensus::tests::a_block_waits_until_all_that_is_in_it_is_certified_here"],
    },
    Mutant {
        name: "time_drift_unchecked",
        file: "src/consensus/blocks/candidates.rs",
        old: "            && self.blueprint.header.time <= latest\n",
        new: "",
        caught_by: &["--lib consensus::tests::a_block_from_the_future_waits_for_the_clock"],
    },
    Mutant {
        name: "sync_without_commit",
        file: "src/consensus/sync/mod.rs",
        old: ".check_commit(&block.header, &committed.commit, verifier).map_err(|error| error.to_string())?;",
        new: ".check_commit(&block.header, &committed.commit, verifier).ok();",
        caught_by: &["--test field_flip blocks::every_byte_of_a_block_in_sync_counts"],
    },
    Mutant {
        name: "decided_fork_of_one_side_only",
        file: "src/consensus/sync/forks.rs",
        old: "sides == (ours, theirs) || sides == (theirs, ours)",
        new: "sides == (ours, theirs)",
        caught_by: &["--lib consensus::tests::forks::a_parting_is_judged_by_its_own_two_blocks"],
    },
    Mutant {
        name: "decided_fork_hides_others",
        file: "src/consensus/sync/forks.rs",
        old: ".any(|fork| is_of(fork, pair))",
        new: ".any(|fork| is_of(fork, pair) || fork.ours.0.height <= height)",
        caught_by: &[
            "--lib consensus::tests::forks::a_parting_is_judged_by_its_own_two_blocks",
            "--test sim fork_rules::a_fork_after_one_that_was_decided_on_is_found",
        ],
    },
    Mutant {
        name: "heartbeats_number_unsigned",
        file: "src/types/heartbeat.rs",
        old: "            .u64(self.next_seq)\n",
        new: "",
        caught_by: &["--test field_flip votes::heartbeats"],
    },
    // -- disk -----------------------------------------------------------------------------------------------------
    Mutant {
        name: "journal_not_synced",
        file: "src/storage/segment_log.rs",
        old: "        self.active.append(frames)?;\n        self.active.sync_data()?;\n",
        new: "        self.active.append(frames)?;\n",
        caught_by: &[
            "--lib storage::journal::tests::released_records_survive_a_crash_at_every_operation",
            "--lib storage::block_log::tests::acknowledged_blocks_survive_a_crash_at_every_operation",
        ],
    },
    Mutant {
        name: "checksum_unchecked",
        file: "src/storage/record.rs",
        old: "Ok(payload.len()) && crc(&[payload]) == self.payload_sum",
        new: "Ok(payload.len())",
        caught_by: &[
            "--lib storage::journal::tests::a_flipped_bit_is_named_or_cuts_the_last_commit_alone",
            "--lib storage::block_log::tests::a_flipped_bit_is_cut_off_as_a_torn_end_or_named_but_never_served",
        ],
    },
    Mutant {
        name: "torn_tail_left_in_place",
        file: "src/storage/segment_log.rs",
        old: "        file.truncate(end)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::block_log::tests::a_log_cut_anywhere_opens_with_the_blocks_before_the_cut_and_goes_on",
        ],
    },
    Mutant {
        name: "damage_taken_for_a_torn_tail",
        file: "src/storage/segment_log.rs",
        old: "if self.sealed || any_frame_from(file, self.sequence, next, end)? {",
        new: "if self.sealed {",
        caught_by: &[
            "--lib storage::journal::tests::a_flipped_bit_is_named_or_cuts_the_last_commit_alone",
            "--lib storage::block_log::tests::a_flipped_bit_is_cut_off_as_a_torn_end_or_named_but_never_served",
        ],
    },
    Mutant {
        name: "index_trusted_beyond_the_log",
        file: "src/consensus/replay.rs",
        old: "                if known\n",
        new: "                if (known || true)\n",
        caught_by: &["--test replay every_way_to_the_tip_ends_in_the_same_state_and_index"],
    },
    Mutant {
        name: "slashed_collateral_not_indexed",
        file: "src/consensus/replay.rs",
        old: "replaced: slashed.iter().map(",
        new: "replaced: slashed.iter().take(0).map(",
        caught_by: &["--test replay every_way_to_the_tip_ends_in_the_same_state_and_index"],
    },
    Mutant {
        name: "newest_votes_retired_first",
        file: "src/storage/retired.rs",
        old: "sequences(&disk, &dir)?.into_iter().filter",
        new: "sequences(&disk, &dir)?.into_iter().rev().filter",
        caught_by: &["--lib storage::journal::tests::a_crash_while_pruning_leaves_no_gap"],
    },
    Mutant {
        name: "one_job_too_many",
        file: "src/runtime/cpu_pool.rs",
        old: "Semaphore::new(threads)",
        new: "Semaphore::new(threads + 1)",
        caught_by: &["--lib runtime::cpu_pool::tests::no_more_jobs_run_at_once_than_the_pool_has_threads"],
    },
    Mutant {
        name: "certificates_told_apart_by_txid",
        file: "src/consensus/finality/journaled.rs",
        old: "name.is_some_and(|name| self.proved.contains(&name))",
        new: "name.is_some_and(|name| self.proved.iter().any(|(txid, _)| *txid == name.0))",
        caught_by: &[
            "--lib consensus::finality::journaled::tests::each_vote_behind_a_promise_is_written_and_none_twice",
        ],
    },
    Mutant {
        name: "bytes_make_no_block_due",
        file: "src/consensus/blocks/due.rs",
        old: "        || units(bytes.saturating_add(TRANSACTION_BYTES_MAX)) >= bytes_max",
        new: "        || units(bytes) > bytes_max << 20",
        caught_by: &["--lib consensus::tests::strangers::large_payments_make_a_block_due"],
    },
    Mutant {
        name: "rounds_ahead_validated_at_once",
        file: "src/protocol/bft/machine/log.rs",
        old: "self.proposals.range(..=self.round).flat_map",
        new: "self.proposals.range(..).flat_map",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::blocks_of_rounds_ahead_are_validated_when_their_round_comes_or_a_third_votes_for_them",
        ],
    },
    Mutant {
        name: "early_messages_unchecked",
        file: "src/consensus/peers/early.rs",
        old: "if !has_room || voters.iter().find(holds).is_none() {",
        new: "if !has_room || voters.iter().find(holds).is_none() && voters.is_empty() {",
        caught_by: &[
            "--lib consensus::tests::strangers::early_messages_are_kept_within_their_bytes_and_only_if_a_known_set_signed_them",
        ],
    },
    Mutant {
        name: "liars_height_believed",
        file: "src/consensus/sync/mod.rs",
        old: ".filter(|(peer, _)| self.proven.contains(peer))",
        new: ".filter(|(peer, _)| peers.is_connected(peer))",
        caught_by: &["--lib consensus::tests::strangers::a_height_is_believed_only_of_who_delivers"],
    },
    Mutant {
        name: "certificate_without_a_quorum",
        file: "src/consensus/verify.rs",
        old: "if weight < voters.set.quorum() {",
        new: "if weight == 0 {",
        caught_by: &[
            "--lib consensus::tests::durable::votes_that_are_no_quorum_certify_nothing_and_cost_no_check",
        ],
    },
    Mutant {
        name: "forgotten_batches_passed_on",
        file: "src/consensus/finality/mod.rs",
        old: "inserted != Inserted::NotRemembered",
        new: "true",
        caught_by: &[
            "--test sim gossip_rules::a_batch_below_all_that_is_remembered_counts_and_is_not_passed_on_again_and_again",
        ],
    },
    Mutant {
        name: "answers_without_budget",
        file: "src/consensus/serve.rs",
        old: "self.budget > 0 && !(",
        new: "self.budget > i64::MIN && !(",
        caught_by: &["--lib consensus::serve::tests::who_has_used_up_its_budget_waits_and_nobody_else_does"],
    },
    Mutant {
        name: "intervals_by_the_wall_clock",
        file: "src/consensus/blocks/due.rs",
        old: "applied.monotonic_ms.saturating_add(wait_ms.saturating_sub(age_ms));",
        new: "at.now_ms().saturating_sub(at.now.wall_ms.saturating_sub(applied.wall_ms)).saturating_add(wait_ms.saturating_sub(age_ms));",
        caught_by: &[
            "--lib consensus::tests::strangers::a_clock_that_is_set_ahead_and_back_moves_no_interval",
        ],
    },
    // -- epochs that end, bounds, and what peers say --------------------------------------------------------------------
    Mutant {
        name: "answers_outlive_their_epoch",
        file: "src/consensus/dispatch.rs",
        old: "        self.peers.batches.clear();\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::epochs::what_a_peer_answered_in_an_epoch_says_nothing_of_the_next",
        ],
    },
    Mutant {
        name: "returned_peer_still_believed",
        file: "src/consensus/sync/mod.rs",
        old: "if !self.proven.remove(peer) {",
        new: "if !self.proven.contains(peer) {",
        caught_by: &[
            "--lib consensus::tests::strangers::who_comes_back_has_to_deliver_again_before_its_height_is_believed",
        ],
    },
    Mutant {
        name: "sync_bytes_drift",
        file: "src/consensus/sync/mod.rs",
        old: "        self.received_bytes = self.received_bytes.saturating_sub(received.bytes);\n        let from",
        new: "        let from",
        caught_by: &["--lib consensus::tests::strangers::blocks_in_sync_are_held_within_their_bytes"],
    },
    Mutant {
        name: "sync_bytes_unbounded",
        file: "src/consensus/sync/mod.rs",
        old: "\n                && self.received_bytes.saturating_add(bytes) <= SYNC_BYTES_MAX;",
        new: ";",
        caught_by: &["--lib consensus::tests::strangers::blocks_in_sync_are_held_within_their_bytes"],
    },
    Mutant {
        name: "acknowledgements_outlive_their_epoch",
        file: "src/consensus/instances.rs",
        old: "self.epoch = at.chain.epoch();\n            self.acknowledged_by.clear();",
        new: "self.epoch = at.chain.epoch();",
        caught_by: &[
            "--lib consensus::tests::epochs::acknowledgements_of_an_epoch_that_is_over_count_no_more",
        ],
    },
    Mutant {
        name: "heartbeats_by_a_clock_set_back",
        file: "src/consensus/heartbeats.rs",
        old: "at.now.wall_ms.max(after_last)",
        new: "at.now.wall_ms.max(after_last.min(0))",
        caught_by: &[
            "--lib consensus::tests::epochs::the_times_of_heartbeats_ascend_though_the_clock_was_set_back",
        ],
    },
    Mutant {
        name: "heartbeats_flood",
        file: "src/consensus/heartbeats.rs",
        old: "is_old || heard_ms.saturating_add(HEARTBEAT_GAP_MS) > at.now_ms()",
        new: "is_old || *heard_ms > at.now_ms()",
        caught_by: &[
            "--lib consensus::tests::epochs::heartbeats_of_one_member_are_passed_on_once_in_a_while",
        ],
    },
    Mutant {
        name: "evidence_of_any_size_proposed",
        file: "src/consensus/evidence.rs",
        old: "                bytes <= EVIDENCE_BYTES_MAX\n",
        new: "                bytes <= EVIDENCE_BYTES_MAX << 8\n",
        caught_by: &[
            "--lib consensus::tests::evidence::a_proposer_takes_no_more_evidence_than_a_block_may_have",
        ],
    },
    Mutant {
        name: "new_peer_not_told_of_evidence",
        file: "src/consensus/dispatch.rs",
        old: "for piece in self.evidence.iter() {",
        new: "for piece in self.evidence.iter().take(0) {",
        caught_by: &["--lib consensus::tests::evidence::a_new_peer_is_told_of_evidence_that_no_block_has"],
    },
    Mutant {
        name: "votes_beyond_a_quorum_prove_nothing",
        file: "src/consensus/finality/mod.rs",
        old: "self.machine.lock_vote_of(&validator, &txid).or_else(|| {",
        new: "self.machine.lock_vote_of(&validator, &txid).or_else(|| {\n            if member < usize::MAX {\n                return None;\n            }",
        caught_by: &[
            "--lib consensus::tests::evidence::who_contradicts_itself_beyond_a_quorum_is_accused_as_well",
        ],
    },
    Mutant {
        name: "burned_outputs_stay",
        file: "src/consensus/chain.rs",
        old: "self.utxos.replace_outputs(height, &replaced);",
        new: "drop(replaced);",
        caught_by: &["--lib consensus::tests::evidence::what_evidence_burns_is_gone_from_the_outputs"],
    },
    Mutant {
        name: "newest_hashes_forgotten",
        file: "src/consensus/chain.rs",
        old: "self.recent_hashes.pop_first();",
        new: "self.recent_hashes.pop_last();",
        caught_by: &["--lib consensus::tests::forks::another_block_at_the_tip_is_noticed_after_many_blocks"],
    },
    Mutant {
        name: "apart_for_ever",
        file: "src/consensus/sync/forks.rs",
        old: "Some(OtherChain::Apart { until_ms }) => now_ms < *until_ms,",
        new: "Some(OtherChain::Apart { until_ms }) => now_ms < *until_ms || *until_ms > 0,",
        caught_by: &[
            "--lib consensus::tests::forks::who_was_on_the_other_side_is_asked_for_blocks_again_after_a_while",
        ],
    },
    Mutant {
        name: "bodies_not_written_again_in_the_next_epoch",
        file: "src/consensus/finality/mod.rs",
        old: "        self.journaled.clear();\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::epochs::what_is_voted_on_again_in_the_next_epoch_is_written_again",
        ],
    },
    Mutant {
        name: "votes_unsigned_at_closing_are_said_later",
        file: "src/consensus/finality/mod.rs",
        old: "        self.forget_unsigned();\n        out.persist",
        new: "        out.persist",
        caught_by: &[
            "--lib consensus::tests::epochs::what_was_not_signed_in_its_epoch_is_not_signed_in_the_next",
        ],
    },
    Mutant {
        name: "late_batch_stops_votes",
        file: "src/consensus/finality/mod.rs",
        old: "        self.pending.written();\n        if batch.header.epoch == self.machine.epoch() {\n",
        new: "        if batch.header.epoch == self.machine.epoch() {\n            self.pending.written();\n",
        caught_by: &[
            "--lib consensus::tests::epochs::a_batch_that_is_durable_after_its_epoch_holds_up_no_vote_of_the_next",
        ],
    },
    Mutant {
        name: "votes_of_the_next_epoch_dropped",
        file: "src/consensus/messages.rs",
        old: "if batch.header.epoch == epoch.saturating_add(1) {",
        new: "if batch.header.epoch == epoch.saturating_add(2) {",
        caught_by: &["--lib consensus::tests::epochs::votes_of_the_next_epoch_count_when_it_begins"],
    },
    Mutant {
        name: "who_said_more_is_not_asked",
        file: "src/consensus/messages.rs",
        old: "for peer in &said_more {",
        new: "for peer in said_more.iter().take(0) {",
        caught_by: &[
            "--lib consensus::tests::epochs::who_said_more_of_the_next_epoch_than_could_be_checked_is_asked_for_it",
        ],
    },
    Mutant {
        name: "timeouts_of_heights_that_are_over",
        file: "src/consensus/blocks/mod.rs",
        old: "        if height == at.chain.next_height() {\n            self.inputs.push_back(Input::TimeoutElapsed",
        new: "        if height <= at.chain.next_height() {\n            self.inputs.push_back(Input::TimeoutElapsed",
        caught_by: &["--lib consensus::tests::epochs::a_timeout_of_a_height_that_is_over_moves_nothing"],
    },
    Mutant {
        name: "late_precommits_left_out",
        file: "src/consensus/blocks/candidates.rs",
        old: "Some(late) if late.signatures.len() > self.last_commit.signatures.len() => late,",
        new: "Some(late) if late.signatures.len() < self.last_commit.signatures.len() => late,",
        caught_by: &[
            "--lib consensus::tests::epochs::a_precommit_that_comes_late_is_in_the_next_blocks_commit",
        ],
    },
    Mutant {
        name: "late_precommits_by_the_next_set",
        file: "src/consensus/messages.rs",
        old: "let voters = Voters { chain_id, epoch: tip.epoch, set: Arc::clone(&tip.set) };",
        new: "let voters = Voters { chain_id, set: Arc::clone(&tip.set), ..self.chain.voters() };",
        caught_by: &[
            "--lib consensus::tests::epochs::a_precommit_that_comes_late_is_in_the_next_blocks_commit",
        ],
    },
    Mutant {
        name: "block_judged_once",
        file: "src/consensus/blocks/candidates.rs",
        old: "(candidate.judged, candidate.refused, candidate.acceptable) = (false, false, false);",
        new: "(candidate.refused, candidate.acceptable) = (false, false);",
        caught_by: &[
            "--lib consensus::tests::epochs::a_block_that_comes_back_in_a_late_round_is_judged_again",
        ],
    },
    Mutant {
        name: "votes_while_asking_lost",
        file: "src/consensus/blocks/mod.rs",
        old: "for effect in std::mem::take(&mut self.unsaid).into_iter().rev() {",
        new: "for effect in std::mem::take(&mut self.unsaid).into_iter().rev().take(0) {",
        caught_by: &[
            "--lib consensus::tests::epochs::what_was_voted_in_the_machine_while_the_node_asked_is_said_then",
        ],
    },
    Mutant {
        name: "payments_of_any_number_proposed",
        file: "src/consensus/blocks/candidates.rs",
        old: "> capacity.bytes || count >= capacity.transactions {",
        new: "> capacity.bytes || count > capacity.transactions << 8 {",
        caught_by: &[
            "--lib consensus::tests::strangers::a_proposer_takes_no_more_payments_than_a_block_may_have",
        ],
    },
    Mutant {
        name: "past_words_cut_within_a_height",
        file: "src/consensus/blocks/past.rs",
        old: "            self.from = height.saturating_add(1);",
        new: "            self.from = height;",
        caught_by: &[
            "--lib consensus::blocks::past::tests::heights_are_forgotten_as_a_whole_and_what_was_said_is_never_foreign",
        ],
    },
    Mutant {
        name: "one_peer_asked_for_all",
        file: "src/consensus/peers/mod.rs",
        old: "        *next = next.wrapping_add(1);\n",
        new: "",
        caught_by: &["--lib consensus::peers::tests::each_peer_has_its_turn_to_be_asked"],
    },
    Mutant {
        name: "live_instances_make_room",
        file: "src/consensus/instances.rs",
        old: ".min_by_key(|(_, known)| known.heard_ms)",
        new: ".max_by_key(|(_, known)| known.heard_ms)",
        caught_by: &["--lib consensus::instances::tests::the_one_that_was_silent_for_longest_makes_room"],
    },
    Mutant {
        name: "locks_of_the_present_epoch_not_needed",
        file: "src/consensus/vote_replay.rs",
        old: "*epoch >= started, of_epoch)",
        new: "*epoch > started, of_epoch)",
        caught_by: &[
            "--lib consensus::vote_replay::tests::a_vote_to_lock_unknown_inputs_is_refused_unless_its_epoch_is_over",
        ],
    },
    Mutant {
        name: "answers_end_believed",
        file: "src/consensus/peers/batch_requests.rs",
        old: "before_seq.min(until)",
        new: "before_seq",
        caught_by: &["--test sim gossip_rules::the_end_of_an_answer_says_nothing_of_what_was_not_asked_for"],
    },
    Mutant {
        name: "forgotten_epochs_signed_again",
        file: "src/consensus/signing.rs",
        old: "self.signs_from = self.signs_from.max(epoch);",
        new: "self.signs_from = epoch;",
        caught_by: &["--test sim restart_rules::nor_in_those_between_once_the_chain_comes_back"],
    },
    Mutant {
        name: "one_waiting_lock_a_block",
        file: "src/protocol/finality/machine/epochs.rs",
        old: "            self.vote_lock(txid, out);\n        }",
        new: "            self.vote_lock(txid, out);\n            break;\n        }",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up",
        ],
    },
    Mutant {
        name: "resident_bytes_drift",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "        self.resident_bytes = bytes_left;\n",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up",
        ],
    },
    Mutant {
        name: "certified_bytes_drift",
        file: "src/protocol/finality/machine/epochs.rs",
        old: "if let Some(resident) = entry.resident() {",
        new: "if let Some(resident) = entry.resident().filter(|_| false) {",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up",
        ],
    },
    Mutant {
        name: "body_of_a_block_still_wanted",
        file: "src/protocol/finality/machine/epochs.rs",
        old: "        self.wanted_bodies.remove(&txid);\n        self.want_no",
        new: "        self.want_no",
        caught_by: &["--lib protocol::finality::tests::what_a_block_contains_is_asked_for_no_more"],
    },
    Mutant {
        name: "certificate_of_a_block_still_wanted",
        file: "src/protocol/finality/machine/epochs.rs",
        old: "        self.want_no_certificate(&txid);\n",
        new: "",
        caught_by: &["--lib protocol::finality::tests::what_a_block_contains_is_asked_for_no_more"],
    },
    Mutant {
        name: "final_body_left_in_the_journal",
        file: "src/protocol/finality/machine/counting.rs",
        old: "            Some(Body::Spilled) => out.push(Effect::LoadBody(txid)),\n            // Told",
        new: "            Some(Body::Spilled) => {}\n            // Told",
        caught_by: &[
            "--lib protocol::finality::tests::a_final_one_whose_body_was_left_to_the_journal_is_read_and_told",
        ],
    },
    Mutant {
        name: "body_left_to_a_journal_without_it",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "if entry.voted_lock { Body::Spilled } else { Body::Missing }",
        new: "if entry.locked { Body::Spilled } else { Body::Missing }",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::a_locked_body_is_left_to_the_journal_only_if_that_has_it",
        ],
    },
    Mutant {
        name: "one_old_epoch_forgotten_at_a_time",
        file: "src/protocol/state.rs",
        old: "while past_epochs.pop_void(self.tip_time, self.parameters.unbonding_time_ms).is_some() {}",
        new: "drop(past_epochs.pop_void(self.tip_time, self.parameters.unbonding_time_ms));",
        caught_by: &[
            "--lib protocol::masternodes::tests::unbonding::all_epochs_that_are_too_long_ago_are_forgotten_at_once",
        ],
    },
    Mutant {
        name: "index_queue_bytes_drift",
        file: "src/storage/index_writer.rs",
        old: "                queue.bytes = queue.bytes.saturating_sub(change.size_bytes());\n",
        new: "",
        caught_by: &["--lib storage::index::tests::the_writer_applies_in_order_marks_and_finishes"],
    },
    Mutant {
        name: "full_pool_holds_coins",
        file: "src/admission/taking.rs",
        old: "                self.parts.utxos.release(&transaction);\n                refuse",
        new: "                refuse",
        caught_by: &["--lib admission::tests::coins::what_the_pool_has_no_room_for_holds_no_coin"],
    },
    Mutant {
        name: "lost_childs_children_stay",
        file: "src/admission/taking.rs",
        old: "descendants.iter().for_each(|descendant| self.forget(descendant, out));",
        new: "drop(descendants);",
        caught_by: &[
            "--lib admission::tests::coins::the_descendants_of_a_child_that_lost_its_other_coin_leave_the_pool",
        ],
    },
    Mutant {
        name: "refused_connections_go_on",
        file: "src/rpc/router.rs",
        old: "    // Behind the plain pages, which nobody is to wait for.\n    connection.rest().await;\n",
        new: "",
        caught_by: &[
            "--lib rpc::server::hostile_tests::who_was_refused_too_often_rests_before_the_next_request_is_read",
        ],
    },
    Mutant {
        name: "large_blocks_wait_for_their_mark",
        file: "src/storage/index_writer.rs",
        old: " || self.pending_entries >= MARK_ENTRIES",
        new: "",
        caught_by: &[
            "--lib storage::index::tests::large_blocks_are_marked_before_much_would_have_to_be_applied_again",
        ],
    },
    Mutant {
        name: "author_without_a_pace",
        file: "src/consensus/incoming.rs",
        old: "if !self.engine.pace().may_pass(batch, self.now) {",
        new: "if false && !self.engine.pace().may_pass(batch, self.now) {",
        caught_by: &[
            "--lib consensus::incoming::tests::one_members_votes_pass_up_to_its_pace_and_forged_ones_take_nothing_of_it",
        ],
    },
    Mutant {
        name: "copies_of_a_job_pass_twice",
        file: "src/consensus/incoming.rs",
        old: "if name.is_some_and(|name| court.engine.known().has(&name)) {",
        new: "if false {",
        caught_by: &[
            "--lib consensus::incoming::tests::signatures_of_a_job_are_checked_at_once_and_a_bad_one_is_its_senders_alone",
        ],
    },
    Mutant {
        name: "one_bad_signature_condemns_its_job",
        file: "src/consensus/incoming.rs",
        old: "all_hold || court.verifier.verify_all(&[*check]).is_ok();",
        new: "all_hold && court.verifier.verify_all(&[*check]).is_ok();",
        caught_by: &[
            "--lib consensus::incoming::tests::signatures_of_a_job_are_checked_at_once_and_a_bad_one_is_its_senders_alone",
        ],
    },
    Mutant {
        name: "missed_votes_use_up_the_pace",
        file: "src/consensus/vote_pace.rs",
        old: "Kind::Behind => &mut self.behind,",
        new: "Kind::Behind => &mut self.ahead,",
        caught_by: &[
            "--lib consensus::vote_pace::tests::what_was_missed_does_not_hold_up_the_votes_of_the_moment",
        ],
    },
    Mutant {
        name: "link_without_the_trusted_quorum",
        file: "src/protocol/finality_proof/verify.rs",
        old: "if weight < quorum {\n            return Err(FinalityProofError::TrustedTooLight",
        new: "if weight < quorum && weight == u64::MAX {\n            return Err(FinalityProofError::TrustedTooLight",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::a_quorum_of_a_set_that_nobody_knows_is_not_enough",
        ],
    },
    Mutant {
        name: "trust_by_the_weights_of_the_signing_set",
        file: "src/protocol/finality_proof/quorums.rs",
        old: "known.map_or(0, |(_, known)| known.weight)",
        new: "known.map_or(0, |_| member.weight)",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::trust_is_weighed_by_the_weights_of_the_trusted_set",
        ],
    },
    Mutant {
        name: "keys_that_stand_twice",
        file: "src/protocol/finality_proof/given_set.rs",
        old: "ids.len() == set.len() && keys.len() == set.len()",
        new: "ids.len() == set.len() && !keys.is_empty()",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::a_key_or_a_masternode_that_stands_twice_counts_for_nothing",
        ],
    },
    Mutant {
        name: "any_set_in_the_epoch_that_is_trusted",
        file: "src/protocol/finality_proof/verify.rs",
        old: "if epoch == self.epoch {\n            self.check_set(header)?;\n        }",
        new: "if epoch == self.epoch && self.before.is_some() {\n            self.check_set(header)?;\n        }",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::who_votes_in_the_epoch_of_the_trusted_set_is_known",
        ],
    },
    Mutant {
        name: "passed_epochs_without_blocks",
        file: "src/protocol/finality_proof/verify.rs",
        old: "passed.saturating_mul(2)",
        new: "passed.saturating_mul(0)",
        caught_by: &["--lib protocol::finality_proof::tests::forged::epochs_heights_and_times_ascend"],
    },
    Mutant {
        name: "times_that_stand_still",
        file: "src/protocol/finality_proof/verify.rs",
        old: "if header.time <= self.time {",
        new: "if header.time < self.time {",
        caught_by: &["--lib protocol::finality_proof::tests::forged::epochs_heights_and_times_ascend"],
    },
    Mutant {
        name: "spare_links_accepted",
        file: "src/protocol/finality_proof/verify.rs",
        old: "before.reaches(&own, &commit)",
        new: "before.hash == own.hash",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::a_link_is_spare_if_the_set_before_it_does_for_the_next_one",
        ],
    },
    Mutant {
        name: "a_signer_spare_for_one_quorum_only",
        file: "src/protocol/finality_proof/quorums.rs",
        old: "self.own >= needed.own && self.trusted >= needed.trusted",
        new: "self.own >= needed.own",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::a_signer_that_breaks_neither_quorum_is_spare",
            "--lib protocol::finality_proof::tests::parts::trimming_for_two_sets_reaches_both_with_none_to_spare",
        ],
    },
    Mutant {
        name: "spare_links_built",
        file: "src/protocol/finality_proof/path.rs",
        old: "let Some(longer) = reach(epochs, &before.from, step.end)? else { break };",
        new: "let Some(longer) = reach(epochs, &before.from, step.end)?.filter(|_| bytes == 0) else { break };",
        caught_by: &[
            "--lib protocol::finality_proof::tests::long_ways::a_link_that_a_longer_one_makes_spare_is_taken_out",
        ],
    },
    Mutant {
        name: "a_block_trusted_by_its_height_alone",
        file: "src/protocol/finality_proof/verify.rs",
        old: "if named != Some(&found) {",
        new: "if named.map(|named| named.height) != Some(found.height) {",
        caught_by: &[
            "--lib protocol::finality_proof::tests::anchors::only_the_block_that_the_verifier_names_is_started_from",
        ],
    },
    Mutant {
        name: "any_end_of_the_past",
        file: "src/protocol/finality_proof/anchor.rs",
        old: "if !past.is_below(header) {",
        new: "if !past.is_below(header) && past.path.is_empty() {",
        caught_by: &[
            "--lib protocol::finality_proof::tests::anchors::only_the_ends_to_which_the_trusted_block_commits_are_started_from",
        ],
    },
    Mutant {
        name: "links_that_lead_on_from_the_past",
        file: "src/protocol/finality_proof/anchor.rs",
        old: "if let Some(link) = links.first() {",
        new: "if let Some(link) = links.get(1) {",
        caught_by: &[
            "--lib protocol::finality_proof::tests::anchors::no_link_leads_on_from_an_epoch_before_the_trusted_block",
        ],
    },
    Mutant {
        name: "precommits_of_the_next_block_overlooked",
        file: "src/storage/index_epochs.rs",
        old: "fuller.into_iter().chain([own])",
        new: "fuller.into_iter().take(0).chain([own])",
        caught_by: &[
            "--lib consensus::tests::proofs::the_precommits_that_the_next_block_has_pass_over_epochs_too",
        ],
    },
    Mutant {
        name: "intervals_count_from_the_start",
        file: "src/consensus/chain.rs",
        old: "        self.applied = now;\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::closing::a_block_is_due_an_interval_after_the_one_that_was_applied_last",
        ],
    },
    Mutant {
        name: "votes_behind_a_late_batch_wait",
        file: "src/consensus/dispatch.rs",
        old: "        self.finality.flush_if_due(&at, &mut self.out);\n        self.check_closing_due();\n    }\n\n    /// The block is durable",
        new: "        self.check_closing_due();\n    }\n\n    /// The block is durable",
        caught_by: &[
            "--lib consensus::tests::epochs::a_batch_that_is_durable_after_its_epoch_holds_up_no_vote_of_the_next",
        ],
    },
    Mutant {
        name: "full_batches_refused",
        file: "src/consensus/verify.rs",
        old: "batch.votes.len() > BATCH_VOTES_MAX",
        new: "batch.votes.len() >= BATCH_VOTES_MAX",
        caught_by: &[
            "--lib consensus::verify::tests::a_batch_has_as_many_votes_as_the_rules_allow_and_one_at_least",
        ],
    },
    Mutant {
        name: "child_before_its_parent_left_out",
        file: "src/consensus/blocks/candidates.rs",
        old: "            ready.extend(deferred.remove(&transaction.txid()).unwrap_or_default());\n",
        new: "            deferred.remove(&transaction.txid());\n",
        caught_by: &[
            "--lib consensus::tests::strangers::a_proposer_takes_a_child_that_was_certified_before_its_parent",
        ],
    },
    Mutant {
        name: "rivals_known_one_way",
        file: "src/protocol/finality/machine/contradictions.rs",
        old: "for (of, rival) in [(one, other), (other, one)] {",
        new: "for (of, rival) in [(one, other)] {",
        caught_by: &[
            "--lib protocol::finality::tests::lock_votes_for_conflicting_transactions_are_seen_in_any_order_of_bodies_and_votes",
        ],
    },
    Mutant {
        name: "hopeless_transaction_taken_for_a_bad_copy",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "Verdict::Never(error) => self.take_body(chain, tx, Some(Spend::Judged(Err(error))), out),",
        new: "Verdict::Never(error) => out.push(Effect::BadCopy { txid, error }),",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::who_spends_what_its_parent_does_not_make_is_condemned_in_all_copies_with_its_child",
        ],
    },
    Mutant {
        name: "children_of_what_was_let_go_condemned",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "            if reason.is_of_the_transaction() {\n                let children",
        new: "            {\n                let children",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_child_outlives_a_body_that_was_only_let_go",
        ],
    },
    Mutant {
        name: "child_counted_twice",
        file: "src/admission/waiting.rs",
        old: "        if self.waiting.contains_key(&txid) {\n            return Ok(());\n        }\n        for parent in",
        new: "        for parent in",
        caught_by: &["--lib admission::tests::a_child_that_comes_twice_at_once_is_counted_once"],
    },
    Mutant {
        name: "journal_without_its_header_taken_for_new",
        file: "src/storage/segment_log.rs",
        old: "if !is_last || (*sequence > 1 && sequences.len() == 1) {",
        new: "if !is_last {",
        caught_by: &[
            "--lib storage::journal::tests::a_pruned_journal_without_its_header_is_damaged_and_not_new",
        ],
    },
    Mutant {
        name: "pieces_of_large_states_stay",
        file: "src/storage/index.rs",
        old: "            store.write(stale.map(|(key, _)| Change::Delete { tree: Tree::State, key }).collect())?;\n",
        new: "            return store.write(stale.map(|(key, _)| Change::Delete { tree: Tree::State, key }).collect());\n",
        caught_by: &["--lib storage::index::tests::a_mark_removes_the_whole_state_before_it"],
    },
    Mutant {
        name: "bad_content_weighs_as_a_bad_signature",
        file: "src/network/reputation.rs",
        old: "            Self::Malformed | Self::InvalidSignature => 50,\n            Self::InvalidContent | Self::FalseStatus => 20,",
        new: "            Self::Malformed | Self::InvalidSignature | Self::InvalidContent => 50,\n            Self::FalseStatus => 20,",
        caught_by: &["--lib network::reputation::tests::small_wrongs_weigh_little_and_lies_more"],
    },
    Mutant {
        name: "points_outlive_their_ban",
        file: "src/network/reputation.rs",
        old: "        self.scores.remove(&peer);\n        self.ban_until_then_at_least(",
        new: "        self.ban_until_then_at_least(",
        caught_by: &[
            "--lib network::reputation::tests::who_was_banned_begins_without_points_when_the_ban_is_over_or_lifted",
        ],
    },
    Mutant {
        name: "credit_granted_again",
        file: "src/network/credit.rs",
        old: "std::mem::take(&mut window.released)",
        new: "window.released",
        caught_by: &["--lib network::credit::tests::what_was_granted_is_granted_once"],
    },
    Mutant {
        name: "passwords_end_at_a_colon",
        file: "src/rpc/auth.rs",
        old: "let (name, password) = pair.split_once(':')",
        new: "let (name, password) = pair.rsplit_once(':')",
        caught_by: &["--lib rpc::auth::tests::a_password_may_have_colons"],
    },
    Mutant {
        name: "forged_evidence_believed",
        file: "src/consensus/evidence.rs",
        old: "evidence::check(piece, at.state(), at.chain.verifier())?;",
        new: "",
        caught_by: &[
            "--lib consensus::tests::evidence::forged_evidence_accuses_nobody_and_its_sender_is_blamed",
        ],
    },
    Mutant {
        name: "double_votes_for_blocks_accuse_nobody",
        file: "src/consensus/dispatch.rs",
        old: "self.evidence.on_equivocation((first, second), &at, &mut self.out);",
        new: "",
        caught_by: &[
            "--lib consensus::tests::evidence::who_signs_two_votes_or_two_proposals_of_a_round_is_accused",
        ],
    },
    Mutant {
        name: "promises_left_out_not_sent_on",
        file: "src/consensus/blocks/candidates.rs",
        old: "send_promises(&unsent, finality, out);",
        new: "",
        caught_by: &["--lib consensus::tests::no_epoch_ends_without_what_was_promised"],
    },
    Mutant {
        name: "bodies_asked_for_not_given",
        file: "src/consensus/messages.rs",
        old: "self.out.serve(Recipient::Peer(to), Answer::Transactions { resident, journaled });",
        new: "",
        caught_by: &[
            "--lib consensus::tests::strangers::who_asks_for_bodies_certificates_batches_or_blocks_is_answered",
        ],
    },
    Mutant {
        name: "own_key_heard_among_block_votes_ignored",
        file: "src/consensus/messages.rs",
        old: "self.out.tell(Fact::KeyCopied(what));",
        new: "",
        caught_by: &[
            "--lib consensus::tests::strangers::who_hears_its_own_key_say_something_else_signs_nothing_any_more",
        ],
    },
    Mutant {
        name: "transactions_of_peers_lost",
        file: "src/consensus/messages.rs",
        old: "self.out.push(Output::CheckTransactions(from, transactions));",
        new: "",
        caught_by: &["--lib consensus::tests::strangers::transactions_of_peers_are_handed_to_admission"],
    },
    Mutant {
        name: "signing_goes_on_after_a_fork_of_a_lost_peer",
        file: "src/consensus/dispatch.rs",
        old: "let found = self.forks.disconnected(&peer, &moment!(self), &mut self.out);\n                self.on_fork(found);",
        new: "let found = self.forks.disconnected(&peer, &moment!(self), &mut self.out);",
        caught_by: &["--lib consensus::tests::forks::a_second_block_that_was_shown_is_not_hidden_by_silence"],
    },
    Mutant {
        name: "fork_found_again_and_again",
        file: "src/consensus/sync/forks.rs",
        old: "self.other_chains.clear();",
        new: "",
        caught_by: &["--lib consensus::tests::forks::a_second_block_that_was_shown_is_not_hidden_by_silence"],
    },
    Mutant {
        name: "votes_cast_while_asking_lost",
        file: "src/consensus/dispatch.rs",
        old: "let at = moment!(self);\n            self.finality.set_signer(&at, &mut self.out);\n            self.blocks.say_unsaid(&mut self.finality, &self.evidence, &at, &mut self.out);",
        new: "let at = moment!(self);\n            self.blocks.say_unsaid(&mut self.finality, &self.evidence, &at, &mut self.out);",
        caught_by: &[
            "--lib consensus::tests::epochs::a_payment_that_comes_while_the_node_asks_has_its_vote_then",
        ],
    },
    Mutant {
        name: "own_words_of_later_epochs_forgotten",
        file: "src/consensus/blocks/mod.rs",
        old: "(self.own_votes, self.own_proposals) = (votes, proposals);",
        new: "",
        caught_by: &[
            "--lib consensus::tests::epochs::own_words_of_an_epoch_that_the_chain_lost_are_known_when_it_comes_back",
        ],
    },
    Mutant {
        name: "answers_outlive_their_connection",
        file: "src/consensus/peers/batch_requests.rs",
        old: "self.about.retain(|(of, _), _| of != peer);",
        new: "",
        caught_by: &[
            "--lib consensus::tests::epochs::who_comes_back_is_asked_again_for_what_it_had_not_given",
        ],
    },
    Mutant {
        name: "new_peers_not_asked",
        file: "src/consensus/dispatch.rs",
        old: "self.instances.greet(peer, &moment!(self), &mut self.out);",
        new: "",
        caught_by: &["--lib consensus::tests::epochs::a_new_peer_hears_the_question_at_once"],
    },
    Mutant {
        name: "spender_not_indexed",
        file: "src/consensus/replay.rs",
        old: "spenders.extend(transaction.inputs.iter().map(|outpoint| (*outpoint, txid)));",
        new: "",
        caught_by: &["--lib consensus::tests::durable::the_index_names_the_transaction_that_spent_an_output"],
    },
    Mutant {
        name: "journaled_votes_not_counted",
        file: "src/consensus/finality/restore.rs",
        old: "self.step(Input::BatchReceived(batch), at, out);",
        new: "",
        caught_by: &[
            "--lib consensus::tests::durable::the_votes_behind_a_promise_certify_again_after_a_restart",
        ],
    },
    Mutant {
        name: "settled_batches_kept",
        file: "src/consensus/finality/mod.rs",
        old: "self.batches.settle(self.machine.settled());",
        new: "",
        caught_by: &[
            "--lib consensus::tests::durable::batches_whose_votes_all_are_in_the_chain_are_kept_no_more",
        ],
    },
    Mutant {
        name: "closing_not_written_at_a_start",
        file: "src/consensus/restart.rs",
        old: "self.finality.enter_closing(&at, &mut self.out);",
        new: "",
        caught_by: &["--lib consensus::tests::closing::who_starts_at_a_closing_height_writes_so_at_once"],
    },
    Mutant {
        name: "earlier_timer_wakes_nobody",
        file: "src/consensus/timeout_monitor.rs",
        old: "if first {\n            self.changed.notify_one();",
        new: "if first {",
        caught_by: &[
            "--lib consensus::timeout_monitor::tests::each_timer_elapses_once_and_in_the_order_of_deadlines",
        ],
    },
    Mutant {
        name: "child_forgotten_when_news_do_not_fit",
        file: "src/admission/checks.rs",
        old: "self.look_at_all_parents(state, now, &mut out);",
        new: "",
        caught_by: &[
            "--lib admission::tests::a_users_child_whose_parent_becomes_final_in_between_is_not_forgotten",
        ],
    },
    Mutant {
        name: "names_of_made_up_parents_stay",
        file: "src/admission/orphans.rs",
        old: "self.by_outpoint.remove(outpoint);",
        new: "",
        caught_by: &["--lib admission::tests::stores::orphans_that_have_gone_leave_nothing_behind"],
    },
    Mutant {
        name: "evicted_not_told",
        file: "src/admission/taking.rs",
        old: "out.extend(inserted.evicted.into_iter().map(Action::Gone));",
        new: "",
        caught_by: &["--lib admission::tests::coins::what_makes_room_for_a_richer_one_is_gone_for_everybody"],
    },
    Mutant {
        name: "slow_transaction_keeps_its_place_for_ever",
        file: "src/admission/load.rs",
        old: "self.flying.remove(&oldest);",
        new: "",
        caught_by: &["--lib admission::load::tests::a_slow_transaction_that_is_forgotten_keeps_no_place"],
    },
    Mutant {
        name: "locks_outlive_their_epoch_for_readers",
        file: "src/admission/mirror.rs",
        old: "self.utxos.start_epoch();",
        new: "",
        caught_by: &[
            "--lib admission::tests::coins::readers_see_how_far_a_payment_is_and_an_epoch_frees_what_it_did_not_take",
        ],
    },
    Mutant {
        name: "contested_keeps_its_place_at_the_door",
        file: "src/admission/thread.rs",
        old: "self.door.window.lock().left(txid);",
        new: "",
        caught_by: &[
            "--lib admission::thread::tests::what_is_final_contested_or_dropped_makes_room_at_the_door",
        ],
    },
    Mutant {
        name: "lacking_peers_sent_nothing_of_the_round",
        file: "src/consensus/blocks/rounds.rs",
        old: "if status.round > round {",
        new: "if status.round >= round {",
        caught_by: &[
            "--lib consensus::tests::strangers::a_peer_is_sent_what_it_lacks_of_the_round_that_it_is_in",
        ],
    },
    Mutant {
        name: "bodies_without_room_kept",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "self.drop_body(newest, DropReason::NoRoom, out);",
        new: "",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::a_body_for_whose_bytes_there_is_no_room_is_not_kept",
        ],
    },
    Mutant {
        name: "outputs_waited_for_stay",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "children.remove(txid);\n                if children.is_empty() {\n                    self.waiting.remove(&outpoint);",
        new: "children.remove(txid);\n                if children.is_empty() {",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::what_waits_no_more_leaves_nothing_behind",
        ],
    },
    Mutant {
        name: "no_copy_asked_for_after_a_bad_one",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "self.wanted_bodies.insert(txid);",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::when_the_copy_that_was_kept_turns_out_bad_another_is_asked_for_if_votes_name_it",
        ],
    },
    Mutant {
        name: "carried_one_lost_when_a_body_comes_twice",
        file: "src/protocol/finality/machine/epochs.rs",
        old: "self.carried.push_front((order, txid, body));",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_body_that_is_loaded_twice_takes_nobodys_place",
        ],
    },
    Mutant {
        name: "bad_copies_never_forgotten",
        file: "src/admission/checks.rs",
        old: "self.errors.remove(&oldest);",
        new: "",
        caught_by: &[
            "--lib admission::tests::bad_copies_are_remembered_up_to_a_number_and_the_oldest_is_forgotten",
        ],
    },
    Mutant {
        name: "early_messages_outlive_their_connection",
        file: "src/consensus/peers/mod.rs",
        old: "self.early.forget(peer);",
        new: "",
        caught_by: &[
            "--lib consensus::tests::strangers::early_messages_are_kept_within_their_bytes_and_only_if_a_known_set_signed_them",
        ],
    },
    Mutant {
        name: "bytes_that_left_memory_still_count",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "self.resident_bytes = self.resident_bytes.saturating_sub(bytes);",
        new: "",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::a_locked_body_is_left_to_the_journal_only_if_that_has_it",
        ],
    },
    Mutant {
        name: "journaled_lock_expires",
        file: "src/protocol/finality/machine/signer.rs",
        old: "entry.locked = true;",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::a_restart_does_not_forget_votes_locks_promises_or_closing",
        ],
    },
    Mutant {
        name: "applied_blocks_not_shown",
        file: "src/consensus/view.rs",
        old: "self.committed.lock().push(applied.hash, applied.committed.clone());",
        new: "",
        caught_by: &["--lib consensus::tests::durable::readers_see_a_block_that_was_applied_at_once"],
    },
    Mutant {
        name: "last_byte_of_a_transaction_refused",
        file: "src/protocol/validity.rs",
        old: "if bytes > TRANSACTION_BYTES_MAX {",
        new: "if bytes >= TRANSACTION_BYTES_MAX {",
        caught_by: &[
            "--lib protocol::validity::tests::a_transaction_may_have_all_of_its_bytes_and_not_one_more",
        ],
    },
    Mutant {
        name: "heartbeats_sent_round_for_ever",
        file: "src/consensus/heartbeats.rs",
        old: "last.heartbeat.time_ms >= heartbeat.time_ms;",
        new: "last.heartbeat.time_ms > heartbeat.time_ms;",
        caught_by: &["--lib consensus::tests::epochs::a_heartbeat_that_comes_again_is_not_passed_on_again"],
    },
    Mutant {
        name: "block_votes_of_others_not_passed_on",
        file: "src/consensus/messages.rs",
        old: "self.out.tell_precommit(vote);\n            }\n            self.out.relay(message, Some(from));",
        new: "self.out.tell_precommit(vote);\n            }",
        caught_by: &["--lib consensus::tests::strangers::votes_and_proposals_of_others_are_passed_on_once"],
    },
    Mutant {
        name: "own_votes_taken_for_a_copys",
        file: "src/consensus/blocks/mod.rs",
        old: "self.own_votes.insert((height, round, step), Arc::clone(&vote));",
        new: "",
        caught_by: &[
            "--lib consensus::tests::strangers::own_words_that_come_back_are_not_taken_for_anothers",
        ],
    },
    Mutant {
        name: "named_under_its_own_key_and_signs_on",
        file: "src/consensus/instances.rs",
        old: "out.tell(Fact::KeyCopied(\"a statement that names this start\"));",
        new: "",
        caught_by: &["--lib consensus::tests::epochs::who_is_named_under_its_own_key_signs_nothing_any_more"],
    },
    Mutant {
        name: "status_said_once",
        file: "src/consensus/dispatch.rs",
        old: "self.out.relay(Message::Status(self.status()), None);",
        new: "",
        caught_by: &["--lib consensus::tests::strangers::a_node_says_where_it_stands_again_and_again"],
    },
    Mutant {
        name: "rounds_without_timeouts",
        file: "src/consensus/blocks/mod.rs",
        old: "out.schedule(timer, duration_ms);",
        new: "",
        caught_by: &["--lib consensus::tests::epochs::a_round_without_a_proposal_has_its_timeout"],
    },
    Mutant {
        name: "proof_of_lock_not_sent_with_its_proposal",
        file: "src/consensus/blocks/rounds.rs",
        old: "messages.extend(proof.into_iter().map(Message::BlockVote));",
        new: "drop(proof);",
        caught_by: &[
            "--lib consensus::tests::epochs::a_block_that_comes_back_in_a_late_round_is_judged_again",
        ],
    },
    Mutant {
        name: "rivals_without_room_kept",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "}\n        self.bound_unlocked(txid, out);",
        new: "}",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::a_body_for_whose_bytes_there_is_no_room_is_not_kept",
        ],
    },
    // -- threads, and what consensus asks for, keeps and writes ------------------------------------------------------
    Mutant {
        name: "own_events_behind_others",
        file: "src/consensus/engine.rs",
        old: "let mut worked = self.own_events() | self.urgent_events();",
        new: "let mut worked = self.urgent_events() | self.own_events();",
        caught_by: &["--lib consensus::tests::engine::the_lanes_are_taken_in_their_order_and_none_starves"],
    },
    Mutant {
        name: "unreadable_outputs_unnoticed",
        file: "src/consensus/engine.rs",
        old: "if self.parts.shell.utxos.is_poisoned() {",
        new: "if false {",
        caught_by: &["--lib consensus::tests::engine::the_node_stops_when_outputs_cannot_be_read"],
    },
    Mutant {
        name: "checks_by_an_old_set",
        file: "src/consensus/engine.rs",
        old: "if self.handle.voters().epoch != state.next_epoch() {",
        new: "if false {",
        caught_by: &["--lib consensus::tests::shell::readers_and_checks_of_signatures_hear_of_a_block"],
    },
    Mutant {
        name: "bodies_come_unasked",
        file: "src/consensus/engine.rs",
        old: "            self.bodies.bodies_requested(txids);\n",
        new: "            let _ = txids;\n",
        caught_by: &["--lib consensus::tests::shell::every_order_is_carried_out"],
    },
    Mutant {
        name: "failed_journal_unreported",
        file: "src/consensus/vote_journal.rs",
        old: "failures.fail(\"vote journal\", error.to_string());",
        new: "let _ = (&failures, error);",
        caught_by: &["--lib consensus::tests::shell::a_journal_that_fails_stops_the_node_and_sends_nothing"],
    },
    Mutant {
        name: "votes_retired_an_epoch_early",
        file: "src/consensus/vote_journal.rs",
        old: "retire(writer.prune_before(epoch));",
        new: "retire(writer.prune_before(epoch + 1));",
        caught_by: &[
            "--lib consensus::vote_journal::tests::what_is_retired_is_older_than_the_epoch_of_the_order_and_was_written_before_it",
        ],
    },
    Mutant {
        name: "blocks_without_room_for_outputs",
        file: "src/consensus/block_commit.rs",
        old: "!utxos.is_overlay_full() || token.is_cancelled()",
        new: "utxos.overlay_bytes() < usize::MAX || token.is_cancelled()",
        caught_by: &[
            "--lib consensus::tests::block_commit::no_block_is_appended_while_outputs_have_no_room_and_the_index_goes_on_meanwhile",
        ],
    },
    Mutant {
        name: "answer_to_another_user",
        file: "src/admission/thread.rs",
        old: "Some(answers.len().saturating_sub(1))",
        new: "Some(0)",
        caught_by: &[
            "--lib admission::thread::tests::a_turn_takes_what_was_asked_for_first_and_shares_the_rest",
        ],
    },
    Mutant {
        name: "load_makes_no_block_due",
        file: "src/consensus/blocks/candidates.rs",
        old: "        self.check_load(finality, at, out);\n",
        new: "        let _ = (finality, at, out);\n",
        caught_by: &[
            "--lib consensus::tests::due::enough_certified_payments_begin_the_height_at_once_when_the_gap_is_over",
        ],
    },
    Mutant {
        name: "halted_while_a_block_is_written",
        file: "src/consensus/blocks/due.rs",
        old: "prevote_weight < quorum && !self.is_committing() && !is_syncing",
        new: "prevote_weight < quorum && !is_syncing",
        caught_by: &[
            "--lib consensus::tests::due::a_node_that_writes_a_block_or_fetches_some_does_not_call_the_chain_halted",
        ],
    },
    Mutant {
        name: "journaled_batches_written_again",
        file: "src/consensus/finality/restore.rs",
        old: "        self.journaled.note_batch(&batch);\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::restored::batches_that_the_journal_holds_are_not_written_again",
        ],
    },
    Mutant {
        name: "early_bytes_one_less",
        file: "src/consensus/peers/early.rs",
        old: "of_peer.bytes.saturating_add(bytes) <= EARLY_BYTES_MAX",
        new: "of_peer.bytes.saturating_add(bytes) < EARLY_BYTES_MAX",
        caught_by: &[
            "--lib consensus::peers::early::tests::of_a_peer_and_in_all_no_more_is_kept_than_allowed_and_just_as_much",
        ],
    },
    Mutant {
        name: "second_batch_does_not_count",
        file: "src/consensus/finality/mod.rs",
        old: "inserted == Inserted::Known && !self.batches.insert_other(member, &batch)",
        new: "inserted == Inserted::Known",
        caught_by: &[
            "--lib consensus::tests::rivals::a_second_batch_under_a_number_counts_and_is_passed_on_once",
        ],
    },
    Mutant {
        name: "prevotes_behind_a_precommit_not_written",
        file: "src/consensus/blocks/mod.rs",
        old: "records.extend(prevotes.map(JournalRecord::BlockVote));",
        new: "drop(prevotes);",
        caught_by: &[
            "--lib consensus::tests::rivals::the_proposal_and_the_prevotes_behind_a_precommit_are_durable_before_it",
        ],
    },
    Mutant {
        name: "forks_forgotten_with_their_epoch",
        file: "src/consensus/dispatch.rs",
        old: "            records.extend(self.forks.records());\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::rivals::the_journal_forgets_an_epoch_when_what_outlives_it_stands_behind_its_end",
        ],
    },
    Mutant {
        name: "window_without_highest",
        file: "src/storage/index.rs",
        old: "        store.sync()?;\n        self.window.flush()?;",
        new: "        self.window.flush()?;",
        caught_by: &["--lib storage::index::tests::what_a_crash_left_of_a_window_is_gone_after_a_longer_one"],
    },
    Mutant {
        name: "highest_goes_back",
        file: "src/storage/index.rs",
        old: "progress.written.map_or(height, |written| written.max(height))",
        new: "height",
        caught_by: &["--lib storage::index::tests::what_a_crash_left_of_a_window_is_gone_after_a_longer_one"],
    },
    Mutant {
        name: "pages_beyond_what_is_known",
        file: "src/storage/index_window.rs",
        old: "until.as_ref().is_none_or(|until| key <= until)",
        new: "until.as_ref().is_none_or(|until| key <= until || true)",
        caught_by: &[
            "--lib storage::index::tests::pages_of_an_address_are_in_order_however_window_and_store_are_mixed",
        ],
    },
    Mutant {
        name: "transient_not_indexed",
        file: "src/consensus/replay.rs",
        old: "spent.iter().chain(transient).map",
        new: "spent.iter().chain(transient.iter().take(0)).map",
        caught_by: &["--test replay the_index_knows_who_spent_what_a_block_made_itself"],
    },
    Mutant {
        name: "table_without_deletions",
        file: "src/storage/fjall_index.rs",
        old: "Change::Delete { key, .. } => table.write_tombstone(key)?",
        new: "Change::Delete { key, .. } => drop(key)",
        caught_by: &["--lib storage::fjall_index::tests::fjall_reads_the_newest_after_a_kill"],
    },
    Mutant {
        name: "unordered_table",
        file: "src/storage/fjall_index.rs",
        old: "run.len() >= TABLE_CHANGES_MIN && is_ascending(&run)",
        new: "run.len() >= TABLE_CHANGES_MIN",
        caught_by: &[
            "--lib storage::fjall_index::tests::changes_in_no_order_are_applied_one_after_the_other",
        ],
    },
    Mutant {
        name: "door_open_while_the_index_lags",
        file: "src/admission/thread.rs",
        old: "self.utxos.overlay_bytes(), OVERLAY_BYTES_MAX",
        new: "self.utxos.overlay_bytes() / 8, OVERLAY_BYTES_MAX",
        caught_by: &["--lib admission::thread::tests::the_door_is_closed_while_the_index_is_far_behind"],
    },
    Mutant {
        name: "known_for_longest_makes_room",
        file: "src/consensus/instances.rs",
        old: "min_by_key(|(_, known)| known.heard_ms)",
        new: "min_by_key(|(_, known)| known.first_heard_ms)",
        caught_by: &[
            "--lib consensus::instances::tests::an_old_one_that_still_speaks_is_not_the_one_that_makes_room",
        ],
    },
    Mutant {
        name: "question_of_an_old_epoch_is_not_renewed",
        file: "src/consensus/instances.rs",
        old: "said.epoch != self.epoch || said.instance",
        new: "said.instance",
        caught_by: &[
            "--lib consensus::instances::tests::a_question_that_has_become_another_one_is_asked_without_waiting_for_its_turn",
        ],
    },
    Mutant {
        name: "who_left_is_acknowledged",
        file: "src/consensus/instances.rs",
        old: "self.known.retain(|id, _| set.index_of(id).is_some());",
        new: "self.known.retain(|_, _| set.len() > 0);",
        caught_by: &["--lib consensus::tests::leaving::who_left_the_set_is_acknowledged_no_more"],
    },
    Mutant {
        name: "a_quorum_by_itself_asks",
        file: "src/consensus/instances.rs",
        old: "own.is_none_or(|own| own.weight >= set.quorum())",
        new: "own.is_none()",
        caught_by: &[
            "--lib consensus::tests::leaving::who_is_a_quorum_by_itself_or_no_member_need_not_ask_when_it_hears_nobody",
        ],
    },
    Mutant {
        name: "attested_in_an_epoch_that_is_over",
        file: "src/consensus/heartbeats.rs",
        old: "*other != id && beat.epoch == epoch &&",
        new: "*other != id && beat.epoch <= epoch &&",
        caught_by: &[
            "--lib consensus::tests::leaving::whom_a_masternode_heard_in_an_epoch_that_is_over_it_attests_no_more",
        ],
    },
    Mutant {
        name: "evidence_of_this_epoch_lost_with_the_chain",
        file: "src/consensus/evidence.rs",
        old: "piece.epoch() >= at.chain.epoch()",
        new: "piece.epoch() > at.chain.epoch()",
        caught_by: &[
            "--lib consensus::tests::evidence::evidence_waits_for_the_blocks_of_its_epoch_that_were_lost",
        ],
    },
    Mutant {
        name: "batches_of_another_epoch_asked_for",
        file: "src/consensus/peers/batch_requests.rs",
        old: "status.filter(|status| status.epoch == self.finality.machine().epoch())",
        new: "status.filter(|status| status.epoch >= self.finality.machine().epoch())",
        caught_by: &[
            "--lib consensus::tests::answers::when_an_answer_ends_only_what_its_peer_said_of_this_epoch_is_asked_for",
        ],
    },
    Mutant {
        name: "blocks_asked_for_beyond_what_is_held",
        file: "src/consensus/sync/mod.rs",
        old: "if start > target || start >= horizon {",
        new: "if start > target {",
        caught_by: &[
            "--lib consensus::tests::answers::no_block_is_asked_for_that_is_further_ahead_than_blocks_are_held",
        ],
    },
    Mutant {
        name: "proof_of_a_fork_lost",
        file: "src/consensus/sync/forks.rs",
        old: "search.proof = prove(&ours, theirs, at).or(search.proof);",
        new: "search.proof = prove(&ours, theirs, at);",
        caught_by: &[
            "--lib consensus::tests::forks::a_second_block_that_was_shown_is_not_hidden_by_one_that_proves_nothing",
        ],
    },
    Mutant {
        name: "all_budgets_anew_when_the_table_is_full",
        file: "src/consensus/vote_pace.rs",
        old: " && !paces.senders.contains_key(&sender)",
        new: "",
        caught_by: &[
            "--lib consensus::vote_pace::tests::who_is_remembered_gets_no_new_budget_when_there_is_no_room_for_others",
        ],
    },
    Mutant {
        name: "lost_body_taken_for_here",
        file: "src/consensus/blocks/candidates.rs",
        old: "if finality.machine().transaction(txid).is_some() {",
        new: "if !txid.0.is_empty() {",
        caught_by: &[
            "--lib consensus::tests::answers::a_body_that_gave_way_to_others_is_asked_for_again_while_a_block_has_it",
        ],
    },
    Mutant {
        name: "bodies_of_a_returned_epoch_left_to_the_journal",
        file: "src/consensus/finality/restore.rs",
        old: "for txid in self.machine.spilled() {",
        new: "for txid in self.machine.spilled().into_iter().take(0) {",
        caught_by: &[
            "--lib consensus::tests::restored::what_an_epoch_had_locked_is_there_again_when_it_comes_back",
        ],
    },
    Mutant {
        name: "copy_taken_for_a_body",
        file: "src/protocol/finality/machine/counting.rs",
        old: "            Body::Unchecked(_) => {\n                self.wanted_bodies.insert(txid);\n            }",
        new: "            Body::Unchecked(_) => {}",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_copy_that_waits_for_its_parent_is_no_body_of_a_certified_transaction",
        ],
    },
    Mutant {
        name: "dead_child_asked_for",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "        if entry.dead {\n            self.wanted_bodies.remove(&txid);\n        }\n",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::what_went_with_its_parent_is_asked_for_no_more",
        ],
    },
    Mutant {
        name: "mark_of_a_registration_overlooked",
        file: "src/admission/checks.rs",
        old: "if self.is_marked(outpoint) {\n                return Err",
        new: "if self.is_marked(outpoint) && state.height() > 1_000 {\n                return Err",
        caught_by: &["--lib admission::tests::coins::what_a_registration_on_its_way_marks_is_not_spent"],
    },
    Mutant {
        name: "rested_hosts_stay",
        file: "src/network/half_open.rs",
        old: "            !bucket.holds(HOST_BURST)\n",
        new: "            !bucket.holds(HOST_BURST + 1)\n",
        caught_by: &["--lib network::half_open::tests::hosts_that_have_rested_make_room_for_others"],
    },
    Mutant {
        name: "proof_without_its_ending_counted",
        file: "src/consensus/proof_builder.rs",
        old: "proof.to_bytes().len() > self.bytes_max",
        new: "proof.to_bytes().is_empty()",
        caught_by: &["--lib consensus::tests::proofs::a_set_that_was_there_before_is_proved_like_any_other"],
    },
    Mutant {
        name: "reached_round_taken_back",
        file: "src/protocol/bft/machine/log.rs",
        old: "*reached = (*reached).max(Some(vote.round));",
        new: "*reached = Some(vote.round);",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::how_far_a_member_has_come_is_not_taken_back_by_a_vote_that_comes_late",
        ],
    },
    Mutant {
        name: "precommits_long_past_forgotten",
        file: "src/protocol/bft/votes.rs",
        old: "\n                || votes.precommits.has_block_quorum(quorum)\n",
        new: "\n",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::a_block_that_comes_long_after_its_precommits_is_decided_with_them",
        ],
    },
    Mutant {
        name: "open_fork_forgotten_with_its_epoch",
        file: "src/consensus/sync/forks.rs",
        old: "let open = self.open.iter().cloned()",
        new: "let open = self.open.iter().take(0).cloned()",
        caught_by: &[
            "--lib consensus::tests::rivals::a_fork_that_is_not_decided_on_outlives_the_end_of_its_epoch",
        ],
    },
    Mutant {
        name: "journal_of_the_height_used_up_while_asking",
        file: "src/consensus/blocks/restore.rs",
        old: "me.and_then(|_| self.later.remove(&context.height))",
        new: "self.later.remove(&context.height)",
        caught_by: &["--test sim instance_rules::a_restarted_node_that_has_to_ask_first_is_locked_as_it_was"],
    },
    Mutant {
        name: "decision_closes_any_fork",
        file: "src/storage/journal_contents.rs",
        old: "self.fork.take_if(|open| open == fork);",
        new: "self.fork = None;",
        caught_by: &["--lib consensus::tests::forks::a_decision_on_one_fork_leaves_another_one_open"],
    },
    Mutant {
        name: "orphans_of_all_senders_unbounded",
        file: "src/admission/orphans.rs",
        old: "of_sender || self.bytes.saturating_add(bytes) > ORPHAN_BYTES_MAX",
        new: "of_sender",
        caught_by: &["--lib admission::tests::stores::orphans_of_all_senders_together_are_bounded"],
    },
    Mutant {
        name: "parents_of_lost_children_stay",
        file: "src/admission/waiting.rs",
        old: "                if children.is_empty() {\n                    self.children.remove(parent);\n                }\n",
        new: "",
        caught_by: &["--lib admission::tests::stores::children_that_have_gone_leave_nothing_behind"],
    },
    Mutant {
        name: "batches_named_without_their_votes",
        file: "src/consensus/finality/journaled.rs",
        old: "Self { epoch, validator, seq, count, votes_root }",
        new: "{\n            let _ = votes_root;\n            Self { epoch, validator, seq, count, votes_root: BatchRoot::ZERO }\n        }",
        caught_by: &[
            "--lib consensus::finality::journaled::tests::batches_that_differ_in_anything_signed_are_told_apart",
        ],
    },
    Mutant {
        name: "nobody_woken_behind_a_turn",
        file: "src/admission/thread.rs",
        old: "if is_queued {",
        new: "if is_queued && false {",
        caught_by: &["--lib admission::thread::tests::everything_that_admission_says_is_done"],
    },
    Mutant {
        name: "limits_of_blocks_with_a_gap",
        file: "src/network/message_kind.rs",
        old: "const ROUNDS_PER_SECOND: u64 = 200;",
        new: "const ROUNDS_PER_SECOND: u64 = 5;",
        caught_by: &["--lib network::message_kind::tests::blocks_without_a_gap_are_never_limited"],
    },
    Mutant {
        name: "a_proposal_without_its_proof_is_had",
        file: "src/protocol/bft/machine/reading.rs",
        old: "proposal.pol_round.is_none_or(proved)",
        new: "proposal.pol_round.is_none_or(|pol_round| proved(pol_round) || pol_round < round)",
        caught_by: &["--lib consensus::tests::rivals::a_proposal_lacks_until_its_proof_of_lock_is_here"],
    },
    Mutant {
        name: "waiting_for_observers_that_are_gone",
        file: "src/consensus/observers.rs",
        old: "self.0.state.lock().receiver_gone = true;",
        new: "self.0.state.lock().receiver_gone = false;",
        caught_by: &["--lib consensus::observers::tests::who_tells_goes_on_when_nobody_hears_any_more"],
    },
    Mutant {
        name: "debts_are_forgotten",
        file: "src/consensus/serve.rs",
        old: "!of_peer.answers.is_empty() || !of_peer.owes_nothing()",
        new: "!of_peer.answers.is_empty()",
        caught_by: &[
            "--lib consensus::serve::tests::who_has_used_up_its_budget_is_not_forgotten_before_it_has_it_again",
        ],
    },
    Mutant {
        name: "bodies_of_blocks_uncounted",
        file: "src/consensus/inbox.rs",
        old: "blocks.iter().flat_map(|committed|",
        new: "blocks.iter().take(0).flat_map(|committed|",
        caught_by: &["--lib consensus::inbox::tests::a_message_counts_with_all_bodies_in_it"],
    },
    Mutant {
        name: "too_many_files_taken_for_damage",
        file: "src/storage/sled_index.rs",
        old: "const TOO_MANY_FILES: [i32; 2] = [23, 24];",
        new: "const TOO_MANY_FILES: [i32; 0] = [];",
        caught_by: &["--lib storage::index::tests::what_the_machine_lacks_is_no_damage_of_the_index"],
    },
    Mutant {
        name: "lost_blocks_taken_for_a_new_log",
        file: "src/storage/block_log.rs",
        old: "if log.first_sequence() == horizon.sequence",
        new: "if log.first_sequence() > 0",
        caught_by: &[
            "--lib storage::block_log::tests::a_log_that_lost_all_of_its_blocks_is_not_taken_for_a_new_one",
        ],
    },
    Mutant {
        name: "damaged_journal_replaced",
        file: "src/storage/journal_import.rs",
        old: "Err(StorageError::NoJournal { .. }) => {}",
        new: "Err(StorageError::NoJournal { .. } | StorageError::Corrupt { .. }) => {}",
        caught_by: &["--lib storage::journal_import::tests::a_damaged_journal_is_never_replaced"],
    },
    Mutant {
        name: "cut_under_a_name_that_is_not_durable",
        file: "src/storage/retired.rs",
        old: "        // An earlier removal may have failed between the two.\n        disk.sync_dir(&dir)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::journal::tests::a_crash_in_a_removal_after_one_that_failed_leaves_no_gap",
        ],
    },
    Mutant {
        name: "names_that_came_kept_for_ever",
        file: "src/admission/requested.rs",
        old: "while names.order.len() > REQUESTED_BODIES_MAX {",
        new: "while names.asked.len() > REQUESTED_BODIES_MAX {",
        caught_by: &[
            "--lib admission::requested::tests::names_that_came_take_no_more_memory_than_those_that_did_not",
        ],
    },
    Mutant {
        name: "dropped_names_without_a_bound",
        file: "src/admission/news.rs",
        old: "self.settled.len().saturating_add(self.dropped.len()) < NEWS_MAX",
        new: "self.settled.len() < NEWS_MAX",
        caught_by: &["--lib admission::news::tests::what_is_dropped_is_kept_within_the_bound_as_well"],
    },
    Mutant {
        name: "final_before_the_pool_had_it_stays_certified",
        file: "src/admission/mirror.rs",
        old: ".is_ok();\n            self.pool.mark_final(&txid, now_ms);\n",
        new: ".is_ok();\n",
        caught_by: &[
            "--lib admission::tests::coins::what_became_final_before_the_pool_had_it_is_final_there",
        ],
    },
    Mutant {
        name: "texts_take_no_memory",
        file: "src/types/transaction.rs",
        old: "lists.saturating_add(self.payload.text_bytes()).saturating_add(512)",
        new: "lists.saturating_add(self.payload.text_bytes().min(0)).saturating_add(512)",
        caught_by: &[
            "--lib types::transaction::tests::whatever_a_transaction_contains_it_takes_more_memory_than_its_encoding",
        ],
    },
    Mutant {
        name: "an_addresss_surplus_closes_others",
        file: "src/rpc/connections.rs",
        old: "table.close_least_useful(&self.limits, now, of_client);",
        new: "table.close_least_useful(&self.limits, now, |_| true);",
        caught_by: &[
            "--lib rpc::connections::tests::an_address_with_too_many_connections_closes_its_own_and_nobody_elses",
        ],
    },
    Mutant {
        name: "room_for_answers_made_by_anybody",
        file: "src/rpc/connections.rs",
        old: "close_least_useful(&self.limits, now, Connection::is_stranger_taking);",
        new: "close_least_useful(&self.limits, now, |_| true);",
        caught_by: &[
            "--lib rpc::connections::tests::a_stranger_that_does_not_take_its_answer_is_closed_for_room_and_nobody_else",
        ],
    },
    Mutant {
        name: "credentials_protect_for_ever",
        file: "src/rpc/connection.rs",
        old: "self.state.lock().authenticated = authenticated;",
        new: "self.state.lock().authenticated |= authenticated;",
        caught_by: &[
            "--lib rpc::connection::tests::credentials_protect_a_connection_until_a_request_comes_without_them",
        ],
    },
    Mutant {
        name: "bodies_that_are_read_count_no_more",
        file: "src/rpc/router.rs",
        old: "let (bytes, _share) = read_body(body, state, authenticated).await?;",
        new: "let (bytes, _) = read_body(body, state, authenticated).await?;",
        caught_by: &["--lib rpc::server::hostile_tests::bodies_of_requests_that_wait_count_among_all_bodies"],
    },
    Mutant {
        name: "a_notification_takes_the_answers_of_its_batch",
        file: "src/rpc/meter.rs",
        old: "answers.iter().all(Option::is_none) {",
        new: "answers.iter().any(Option::is_none) {",
        caught_by: &[
            "--lib rpc::server::tests::notifications_of_a_batch_have_no_answer_and_take_none_from_others",
        ],
    },
    Mutant {
        name: "rests_without_end",
        file: "src/rpc/busy_pace.rs",
        old: "ahead.saturating_sub(BUSY_BURST).min(BUSY_REST_MAX)",
        new: "ahead.saturating_sub(BUSY_BURST)",
        caught_by: &["--lib rpc::busy_pace::tests::nobody_rests_for_longer_than_is_stated"],
    },
    Mutant {
        name: "in_the_chain_told_as_policy",
        file: "src/rpc/refusals.rs",
        old: "                (AlreadyConfirmed, error.to_string(), \"nothing is left to do\")",
        new: "                (Policy, error.to_string(), \"nothing is left to do\")",
        caught_by: &[
            "--lib rpc::refusals::tests::whoever_submits_what_a_block_has_learns_so_whichever_part_knows_it",
        ],
    },
    Mutant {
        name: "strangers_wait_with_a_turn_of_others",
        file: "src/rpc/answers.rs",
        old: "            if !self.authenticated {\n                permits.push(enter(&self.large_unauthenticated).await?);\n            }\n            permits.push(enter(&self.large).await?);\n",
        new: "            permits.push(enter(&self.large).await?);\n            if !self.authenticated {\n                permits.push(enter(&self.large_unauthenticated).await?);\n            }\n",
        caught_by: &["--lib rpc::answers::tests::strangers_that_wait_for_their_turn_hold_up_nobody_else"],
    },
    Mutant {
        name: "a_part_of_a_cookie_stops_every_start",
        file: "src/rpc/auth.rs",
        old: "match std::fs::remove_file(&staged) {",
        new: "match std::fs::metadata(&staged) {",
        caught_by: &["--lib rpc::auth::tests::a_cookie_is_made_though_an_earlier_start_left_a_part_of_one"],
    },
    Mutant {
        name: "collateral_told_as_locked",
        file: "src/rpc/methods/addresses.rs",
        old: "(true, _) => &mut self.bound,",
        new: "(true, _) => &mut self.locked,",
        caught_by: &[
            "--lib rpc::methods::addresses::tests::a_balance_says_of_each_output_once_what_keeps_it_from_being_spent",
        ],
    },
    Mutant {
        name: "optional_parameters_have_no_names",
        file: "src/rpc/call.rs",
        old: "named.remove(name.trim_end_matches('?'))",
        new: "named.remove(*name)",
        caught_by: &[
            "--lib rpc::server::tests::parameters_are_given_by_their_names_as_well_as_in_their_order",
        ],
    },
    Mutant {
        name: "misspelt_parameter_ignored",
        file: "src/rpc/call.rs",
        old: "named.keys().next()",
        new: "named.keys().nth(1)",
        caught_by: &[
            "--lib rpc::server::socket_tests::a_subscription_is_asked_for_by_the_names_and_the_number_of_parameters_that_the_table_has",
        ],
    },
    Mutant {
        name: "notification_subscribes",
        file: "src/rpc/socket.rs",
        old: "let Some(id) = call.id else { continue };",
        new: "let id = call.id.unwrap_or(Value::Null);",
        caught_by: &["--lib rpc::server::socket_tests::a_subscription_is_asked_for_by_a_request_alone"],
    },
    Mutant {
        name: "batch_taken_for_a_subscription",
        file: "src/rpc/socket.rs",
        old: "text.first() != Some(&b'{')",
        new: "text.is_empty()",
        caught_by: &[
            "--lib rpc::server::socket_tests::values_in_the_order_of_a_requests_members_are_a_batch_of_what_is_no_request",
        ],
    },
    Mutant {
        name: "stopping_told_as_starting",
        file: "src/rpc/errors.rs",
        old: "NodeApiError::Stopping => (STARTING, \"stopping\",",
        new: "NodeApiError::Stopping => (STARTING, \"starting\",",
        caught_by: &["--lib rpc::errors::tests::a_node_that_stops_does_not_say_that_it_starts"],
    },
    Mutant {
        name: "refusal_counted_with_its_first_event",
        file: "src/app/telemetry.rs",
        old: "Refusal::reasons()",
        new: "Refusal::REASONS_FOR_NOW",
        caught_by: &[
            "--lib app::telemetry::tests::what_is_counted_by_a_label_is_there_before_its_first_event",
        ],
    },
    Mutant {
        name: "history_told_as_whole",
        file: "src/app/node_api/history.rs",
        old: "found.take(POOLED_MAX.saturating_add(1))",
        new: "found.take(POOLED_MAX)",
        caught_by: &[
            "--lib app::node_api::history::tests::a_page_that_leaves_out_some_of_the_pool_is_not_complete",
        ],
    },
    Mutant {
        name: "one_try_told_as_added",
        file: "src/network/address_book.rs",
        old: "entry.source == Source::Configured && entry.stay != Stay::Once",
        new: "entry.source == Source::Configured",
        caught_by: &[
            "--lib network::address_book::tests::what_the_operator_adds_can_be_taken_back_and_one_try_is_one",
        ],
    },
    Mutant {
        name: "waiting_children_of_any_bytes",
        file: "src/mempool/judging.rs",
        old: "if transactions >= WAITING_TRANSACTIONS_MAX || used.saturating_add(bytes) > WAITING_BYTES_MAX {",
        new: "if transactions >= WAITING_TRANSACTIONS_MAX {",
        caught_by: &["--lib mempool::tests::what_waits_for_parents_is_bounded_in_bytes_as_well"],
    },
    Mutant {
        name: "fullness_without_bytes",
        file: "src/mempool/mod.rs",
        old: "by_count.max(by_bytes)",
        new: "by_count",
        caught_by: &["--lib mempool::tests::the_floor_stays_for_its_time_while_the_pool_is_full_of_bytes"],
    },
    Mutant {
        name: "cached_outputs_counted_as_bytes",
        file: "src/utxo/chain.rs",
        old: "cache_bytes.div_euclid(CACHE_ENTRY_BYTES)",
        new: "cache_bytes",
        caught_by: &["--lib utxo::tests::the_cache_takes_no_more_memory_than_it_is_given"],
    },
    Mutant {
        name: "holders_refused_when_locks_are_full",
        file: "src/utxo/locks.rs",
        old: "if missing > 0 && locked.saturating_add(missing)",
        new: "if locked.saturating_add(missing)",
        caught_by: &["--lib utxo::tests::who_holds_its_coins_has_them_though_no_more_can_be_locked"],
    },
    Mutant {
        name: "come_again_taken_for_stale",
        file: "src/admission/load.rs",
        old: "self.flying.get(&txid) != Some(&since_ms);",
        new: "!self.flying.contains_key(&txid);",
        caught_by: &["--lib admission::load::tests::what_comes_again_is_not_taken_for_what_has_left"],
    },
    Mutant {
        name: "announcements_of_any_length",
        file: "src/admission/announcements.rs",
        old: "while due.len() < REQUEST_IDS_MAX\n",
        new: "while due.len() < ANNOUNCED_MAX\n",
        caught_by: &[
            "--lib admission::announcements::tests::an_announcement_names_no_more_than_a_message_may",
        ],
    },
    Mutant {
        name: "rivals_have_to_improve_everywhere",
        file: "src/admission/contests.rs",
        old: "contested.iter().any(|outpoint| match",
        new: "contested.iter().all(|outpoint| match",
        caught_by: &["--lib admission::contests::tests::who_comes_first_for_one_of_its_coins_is_passed_on"],
    },
    Mutant {
        name: "only_the_first_of_a_block_is_news",
        file: "src/admission/mirror.rs",
        old: "txids.iter().fold(false, |somebody, txid| self.news.settled(*txid) | somebody)",
        new: "txids.iter().any(|txid| self.news.settled(*txid))",
        caught_by: &["--lib admission::tests::coins::the_children_of_all_that_a_block_contains_are_pushed"],
    },
    Mutant {
        name: "child_without_room_waits_on",
        file: "src/admission/taking.rs",
        old: "                self.waiting.remove(&txid);\n",
        new: "",
        caught_by: &["--lib admission::tests::coins::a_child_for_which_the_pool_has_no_room_does_not_wait"],
    },
    Mutant {
        name: "large_answers_fit_no_queue",
        file: "src/admission/thread.rs",
        old: "u32::try_from(all.min(ENTRY_BYTES_MAX))",
        new: "u32::try_from(all)",
        caught_by: &["--lib admission::thread::tests::an_answer_of_any_size_has_room_in_an_empty_queue"],
    },
    Mutant {
        name: "unreadable_mark_overlooked",
        file: "src/storage/index_guard.rs",
        old: "            Err(error) => Some(error.to_string()),",
        new: "            Err(_) => None,",
        caught_by: &[
            "--lib storage::index_guard::tests::a_mark_that_cannot_be_read_has_the_index_built_again_too",
        ],
    },
    Mutant {
        name: "retired_files_kept_open",
        file: "src/storage/segment_log.rs",
        old: "            self.reader.forget(retired);",
        new: "            let _ = retired;",
        caught_by: &["--lib storage::segment_log::tests::no_file_is_kept_open_whose_segment_was_retired"],
    },
    Mutant {
        name: "window_written_in_one_piece",
        file: "src/storage/index_window.rs",
        old: "if batch.len() == BATCH_CHANGES {",
        new: "if batch.len() == usize::MAX {",
        caught_by: &["--lib storage::index_window::tests::a_large_window_is_written_in_parts_and_whole"],
    },
    Mutant {
        name: "checkpoint_of_sync_only",
        file: "src/consensus/blocks/mod.rs",
        old: "            error!(%distrust, \"A block with a quorum's signatures is not taken\");\n            return;\n",
        new: "            error!(%distrust, \"A block with a quorum's signatures is not taken\");\n",
        caught_by: &[
            "--lib consensus::tests::trust::no_other_block_takes_the_checkpoints_place_although_a_quorum_signed_it",
        ],
    },
    Mutant {
        name: "passed_checkpoint_vouches",
        file: "src/consensus/trust.rs",
        old: "height >= checkpoint.height)",
        new: "height > checkpoint.height)",
        caught_by: &[
            "--lib consensus::tests::trust::a_node_that_was_away_too_long_asks_for_nothing_and_takes_nothing_without_a_checkpoint",
        ],
    },
    Mutant {
        name: "signs_below_the_checkpoint",
        file: "src/consensus/signing.rs",
        old: "self.signing == Signing::Allowed && chain.has_checkpoint();",
        new: "self.signing == Signing::Allowed;",
        caught_by: &[
            "--lib consensus::tests::trust::nothing_is_signed_below_the_checkpoint_and_all_is_from_there_on",
        ],
    },
    Mutant {
        name: "states_of_changes_uncounted",
        file: "src/storage/index_change.rs",
        old: "            + self.state.len()\n",
        new: "",
        caught_by: &["--lib storage::index::tests::all_that_a_change_holds_is_counted_in_its_bytes"],
    },
    Mutant {
        name: "idle_trackers_forgotten",
        file: "src/runtime/tasks.rs",
        old: "tracker.is_closed() && tracker.is_empty(),",
        new: "tracker.is_empty(),",
        caught_by: &[
            "--lib runtime::tasks::tests::a_tracker_that_was_idle_is_waited_for_however_many_tasks_have_ended",
        ],
    },
    Mutant {
        name: "stopped_replay_told_as_a_failure",
        file: "src/app/start.rs",
        old: "        | StartError::Replay(ReplayError::Storage(StorageError::Interrupted)) => StartError::Stopped,",
        new: "        => StartError::Stopped,",
        caught_by: &["--lib app::start::tests::a_start_that_was_told_to_stop_says_so_whatever_it_was_doing"],
    },
    Mutant {
        name: "holder_of_a_contested_coin_keeps_its_place",
        file: "src/app/observer.rs",
        old: "                self.admission.contested(&locked_to);\n",
        new: "",
        caught_by: &[
            "--lib app::observer::tests::neither_of_two_rivals_keeps_a_place_at_the_door_nor_does_what_was_dropped",
        ],
    },
    Mutant {
        name: "winners_of_lost_coins_not_kept",
        file: "src/app/losers.rs",
        old: "        self.has_news = true;\n",
        new: "",
        caught_by: &["--lib app::losers::tests::what_is_new_is_written_when_the_node_stops"],
    },
    Mutant {
        name: "configured_peers_taken_back",
        file: "src/network/address_book.rs",
        old: "filter(|entry| entry.stay == stay)",
        new: "filter(|entry| entry.stay == stay || stay == Stay::Added)",
        caught_by: &[
            "--lib network::address_book::tests::what_the_operator_adds_can_be_taken_back_and_one_try_is_one",
        ],
    },
    Mutant {
        name: "groups_above_not_limited",
        file: "src/runtime/machine.rs",
        old: ".ancestors()",
        new: ".ancestors().take(1)",
        caught_by: &[
            "--lib runtime::machine::tests::the_least_limit_of_a_process_groups_counts_in_both_versions",
        ],
    },
    Mutant {
        name: "pruning_held_at_the_greater_bound",
        file: "src/app/disk_growth.rs",
        old: "chain(by_days).min()?",
        new: "chain(by_days).max()?",
        caught_by: &[
            "--lib app::disk_growth::tests::pruning_holds_the_log_at_the_lesser_of_both_bounds_if_the_disk_has_room_for_it",
        ],
    },
    Mutant {
        name: "limit_unread_without_a_cursor",
        file: "src/rpc/methods/transactions.rs",
        old: "call.limit(1, FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX)?",
        new: "call.limit(1, FINALIZED_EVENTS_DEFAULT, FINALIZED_EVENTS_MAX).unwrap_or(FINALIZED_EVENTS_DEFAULT)",
        caught_by: &[
            "--lib rpc::server::error_tests::every_method_refuses_each_of_its_parameters_by_name_where_it_is_wrong",
        ],
    },
    Mutant {
        name: "who_waits_is_not_told_of_the_end",
        file: "src/app/observer.rs",
        old: "Clock.instant());\n        self.feeds.changed(txid);\n    }\n\n    fn applied(",
        new: "Clock.instant());\n    }\n\n    fn applied(",
        caught_by: &[
            "--lib app::observer::tests::whoever_watches_a_payment_hears_of_each_thing_that_becomes_of_it",
        ],
    },
    Mutant {
        name: "first_vote_told_for_the_running_epoch",
        file: "src/app/votes.rs",
        old: "is_recent.then(|| running.saturating_add(1));",
        new: "is_recent.then_some(running);",
        caught_by: &["--lib app::votes::tests::a_key_signs_from_the_epoch_after_the_running_one_on"],
    },
    Mutant {
        name: "expected_forgotten_when_named_again",
        file: "src/network/address_book.rs",
        old: "entry.expected = expected.or(entry.expected);",
        new: "entry.expected = expected;",
        caught_by: &[
            "--lib network::address_book::tests::who_is_expected_at_an_address_is_not_forgotten_when_it_is_named_again",
        ],
    },
    Mutant {
        name: "tried_given_up_unasked",
        file: "src/network/address_tables.rs",
        old: "if self.tried.at(slot).is_none() {\n            self.prove(address);",
        new: "if self.tried.at(slot) != Some(address) {\n            self.prove(address);",
        caught_by: &[
            "--lib network::address_tables::tests::what_answered_is_asked_again_before_it_makes_room",
        ],
    },
    Mutant {
        name: "one_teller_reaches_all_buckets",
        file: "src/network/address_tables.rs",
        old: "&[&group, &teller]) % NEW_BUCKETS_PER_TELLER;",
        new: "&[&group, &teller]) % NEW_BUCKETS;",
        caught_by: &[
            "--lib network::address_tables::tests::one_group_of_tellers_reaches_its_share_of_the_buckets_and_no_more",
        ],
    },
    Mutant {
        name: "places_without_the_secret",
        file: "src/network/address_tables.rs",
        old: "blake3::Hasher::new_keyed(&self.secret);",
        new: "blake3::Hasher::new();",
        caught_by: &["--lib network::address_tables::tests::places_depend_on_the_nodes_secret"],
    },
    Mutant {
        name: "good_addresses_pushed_out",
        file: "src/network/address_tables.rs",
        old: "held.is_bad(now_ms) || has_another",
        new: "held.heard_ms <= now_ms || has_another",
        caught_by: &[
            "--lib network::address_tables::tests::a_place_is_given_up_only_by_what_is_bad_or_has_another_one",
        ],
    },
    Mutant {
        name: "drawn_by_address_not_by_bucket",
        file: "src/network/address_tables.rs",
        old: "let places = self.buckets.values().nth(random.random_range(0..self.buckets.len()))?;",
        new: "let places = self.buckets.values().max_by_key(|places| places.len())?;",
        caught_by: &["--lib network::address_tables::tests::each_bucket_is_drawn_from_as_often"],
    },
    Mutant {
        name: "hearsay_told",
        file: "src/network/address_tables.rs",
        old: "(false, _) => return None,",
        new: "(false, _) => entry.identity,",
        caught_by: &["--lib network::address_tables::tests::hearsay_is_not_told_and_neither_is_what_is_bad"],
    },
    Mutant {
        name: "said_identity_bars",
        file: "src/network/address_book.rs",
        old: "&& !is_barred(address, entry.identity)\n",
        new: "&& !is_barred(address, entry.identity.or(entry.of_itself))\n",
        caught_by: &["--lib network::address_book::tests::who_is_said_to_be_at_an_address_decides_nothing"],
    },
    Mutant {
        name: "second_outbound_peer_of_a_group",
        file: "src/network/address_book.rs",
        old: "                    && !taken.contains(&self.tables.group(address))\n",
        new: "",
        caught_by: &[
            "--lib network::address_book::tests::no_second_outbound_peer_of_a_group_is_taken",
            "--lib network::tests::eclipse::one_outbound_connection_to_a_network_is_enough",
        ],
    },
    Mutant {
        name: "anchors_forgotten",
        file: "src/network/address_book.rs",
        old: "anchors_due: anchors.iter().rev().copied().collect(),",
        new: "anchors_due: anchors.iter().take(0).copied().collect(),",
        caught_by: &["--lib network::address_book::tests::anchors_of_the_last_run_are_dialled_first"],
    },
    Mutant {
        name: "offline_held_against_others",
        file: "src/network/address_book.rs",
        old: "if reaches_others {",
        new: "if reaches_others || !reaches_others {",
        caught_by: &[
            "--lib network::address_book::tests::a_node_that_reaches_nobody_holds_that_against_nobody",
        ],
    },
    Mutant {
        name: "chain_leads_into_local_networks",
        file: "src/network/address_book.rs",
        old: "self.policy.grouping != Grouping::Strict || self.own_reach.contains(&local)",
        new: "local != Reach::Nowhere",
        caught_by: &[
            "--lib network::address_book::tests::local_addresses_of_the_chain_are_dialled_only_where_they_can_be_meant",
        ],
    },
    Mutant {
        name: "hidden_peer_told",
        file: "src/network/address_book.rs",
        old: "            entry.hides = hides;\n",
        new: "",
        caught_by: &[
            "--lib network::address_book::tests::a_peer_that_hides_is_told_to_nobody",
            "--lib network::tests::eclipse::a_node_behind_a_sentry_is_reached_by_it_alone_and_told_to_nobody",
        ],
    },
    Mutant {
        name: "connected_peer_loses_its_proof",
        file: "src/network/address_book.rs",
        old: "entry.identity.filter(|_| is_barred(address, entry.identity))",
        new: "entry.identity.filter(|_| !is_barred(address, entry.identity))",
        caught_by: &[
            "--lib network::address_book::tests::a_peer_that_is_connected_is_not_asked_whether_it_is_there_and_keeps_its_place",
        ],
    },
    Mutant {
        name: "strangers_reach_a_hidden_node",
        file: "src/network/peer_manager.rs",
        old: "shared.is_isolated() || shared.local.hides && !shared.book.lock().is_listed(address.ip())",
        new: "shared.is_isolated()",
        caught_by: &[
            "--lib network::tests::eclipse::a_node_behind_a_sentry_is_reached_by_it_alone_and_told_to_nobody",
        ],
    },
    Mutant {
        name: "learned_address_takes_the_place_of_a_connection",
        file: "src/network/peer_manager.rs",
        old: "matches!(approach, Approach::Learned | Approach::Feeler)",
        new: "approach == Approach::Feeler",
        caught_by: &[
            "--lib network::tests::eclipse::a_peer_that_connected_is_proved_and_keeps_its_connection",
        ],
    },
    Mutant {
        name: "file_of_peers_unchecked",
        file: "src/network/address_file.rs",
        old: "if blake3::hash(whole.as_bytes()).to_hex().as_str() != sum {",
        new: "if whole.is_empty() || sum.is_empty() {",
        caught_by: &[
            "--lib network::address_file::tests::what_is_written_is_read_and_every_changed_byte_is_noticed",
        ],
    },
    Mutant {
        name: "nearest_displaced",
        file: "src/network/eviction.rs",
        old: "        keep_first(&mut open, few(KEPT_BY_LATENCY), Connection::latency);\n",
        new: "",
        caught_by: &[
            "--lib network::eviction::tests::the_nearest_and_the_bringers_of_payments_and_votes_keep_their_places",
        ],
    },
    Mutant {
        name: "networks_not_kept",
        file: "src/network/eviction.rs",
        old: "networks.len() >= kept || !networks.insert(",
        new: "networks.len() >= usize::MAX || !networks.insert(",
        caught_by: &["--lib network::eviction::tests::a_few_networks_keep_a_place_by_a_secret"],
    },
    Mutant {
        name: "registered_masternodes_displaced",
        file: "src/network/connection_manager.rs",
        old: "!one.is_registered() && ",
        new: "",
        caught_by: &[
            "--lib network::connection_manager::tests::a_registered_masternode_keeps_its_place_though_it_is_not_in_the_set",
        ],
    },
    Mutant {
        name: "behind_an_end_unbounded",
        file: "src/network/events.rs",
        old: "if !is_connected && state.left_bytes.saturating_add(bytes) > LEFT_BYTES_MAX {",
        new: "if state.left_bytes == usize::MAX {",
        caught_by: &[
            "--lib network::events::tests::what_comes_behind_the_end_of_a_connection_is_bounded_and_leaves_no_trace",
        ],
    },
    Mutant {
        name: "unknown_senders_leave_a_trace",
        file: "src/network/events.rs",
        old: "state.peers.get(&peer).is_some_and(|queue| queue.is_connected);",
        new: "state.queue(peer).is_connected;",
        caught_by: &[
            "--lib network::events::tests::what_comes_behind_the_end_of_a_connection_is_bounded_and_leaves_no_trace",
        ],
    },
    Mutant {
        name: "dropped_messages_take_tokens",
        file: "src/network/rate_limit.rs",
        old: "self.drops = self.drops.saturating_add(1);",
        new: "by_count.take(1);\n        self.drops = self.drops.saturating_add(1);",
        caught_by: &["--lib network::rate_limit::tests::what_is_dropped_takes_nothing"],
    },
    Mutant {
        name: "tokens_of_parts_of_a_millisecond_lost",
        file: "src/network/rate_limit.rs",
        old: "self.filled_at.checked_add(Duration::from_millis(elapsed_ms)).unwrap_or(now);",
        new: "now;",
        caught_by: &["--lib network::rate_limit::tests::parts_of_a_millisecond_are_not_lost"],
    },
    Mutant {
        name: "points_of_a_group_outlive_its_ban",
        file: "src/network/reputation.rs",
        old: "self.group_scores.remove(&group);",
        new: "",
        caught_by: &[
            "--lib network::reputation::tests::a_group_begins_without_points_when_its_ban_is_over_or_lifted",
        ],
    },
    Mutant {
        name: "operators_ban_shortened",
        file: "src/network/reputation.rs",
        old: "if !self.is_banned(target, until) {",
        new: "if until >= now {",
        caught_by: &["--lib network::reputation::tests::a_ban_for_misbehaviour_shortens_no_longer_one"],
    },
    Mutant {
        name: "full_queue_taken_for_had",
        file: "src/network/connection.rs",
        old: "if self.enqueue(kind, encoded) {",
        new: "if self.enqueue(kind, encoded) | true {",
        caught_by: &[
            "--lib network::connection::tests::a_peer_is_offered_again_what_its_queue_had_no_room_for",
        ],
    },
    Mutant {
        name: "any_pong_is_an_answer",
        file: "src/network/connection.rs",
        old: "ping.filter(|(expected, _)| *expected == number)",
        new: "ping.filter(|_| number < u64::MAX)",
        caught_by: &["--lib network::connection::tests::the_latency_is_that_of_an_answer_to_a_ping"],
    },
    Mutant {
        name: "other_chains_make_room_while_seen",
        file: "src/network/other_chains.rs",
        old: "            (known.what, known.seen) = (what, now);",
        new: "            known.what = what;",
        caught_by: &["--lib network::other_chains::tests::one_that_was_seen_a_moment_ago_makes_no_room"],
    },
    Mutant {
        name: "delays_without_credit_counted",
        file: "src/network/session.rs",
        old: "if bulk_counts {\n                self.bulk.note_waited(waited);\n            }",
        new: "self.bulk.note_waited(waited);",
        caught_by: &["--lib network::tests::siege::a_message_whose_rest_has_no_credit_is_waited_for"],
    },
    Mutant {
        name: "one_past_height_forgotten_at_a_time",
        file: "src/consensus/blocks/past.rs",
        old: "while self.words.len() > PAST_WORDS_MAX {",
        new: "if self.words.len() > PAST_WORDS_MAX {",
        caught_by: &[
            "--lib consensus::blocks::past::tests::words_stay_within_their_number_however_many_a_height_has",
        ],
    },
    Mutant {
        name: "time_ahead_passes_the_mark",
        file: "src/consensus/blocks/due.rs",
        old: "let last = state.tip_time().min(applied.wall_ms);",
        new: "let last = state.tip_time();",
        caught_by: &[
            "--lib consensus::tests::closing::a_block_whose_time_is_ahead_does_not_stand_for_the_one_before_the_epochs_end",
        ],
    },
    Mutant {
        name: "dropped_votes_passed_on",
        file: "src/consensus/blocks/mod.rs",
        old: "self.drive(finality, evidence, at, out);\n        !self.machine.is_new(&input)",
        new: "self.drive(finality, evidence, at, out);\n        true",
        caught_by: &["--lib consensus::tests::answers::a_vote_that_is_not_kept_is_not_passed_on"],
    },
    Mutant {
        name: "unsaid_votes_unbounded",
        file: "src/consensus/blocks/mod.rs",
        old: "self.unsaid.truncate(UNSAID_MAX.saturating_sub(1));",
        new: "",
        caught_by: &[
            "--lib consensus::tests::epochs::of_votes_that_were_not_said_the_last_ones_are_kept_up_to_a_number",
        ],
    },
    Mutant {
        name: "votes_of_certificates_uncounted",
        file: "src/consensus/inbox.rs",
        old: "certificates.iter().map(|certificate| certificate.votes.len());",
        new: "certificates.iter().map(|_| 1_usize);",
        caught_by: &["--lib consensus::inbox::tests::certificates_count_with_all_votes_in_them"],
    },
    Mutant {
        name: "bodies_of_applied_blocks_uncounted",
        file: "src/consensus/observers.rs",
        old: "let bodies = applied.transactions.iter().map(",
        new: "let bodies = applied.transactions.iter().take(0).map(",
        caught_by: &[
            "--lib consensus::tests::readers::a_block_that_waits_for_observers_counts_with_its_bodies",
        ],
    },
    Mutant {
        name: "index_without_epochs_trusted",
        file: "src/consensus/replay.rs",
        old: "Some(ended) => Ok(index.epoch_end(ended)?.is_some()),",
        new: "Some(ended) => Ok(index.epoch_end(ended).is_ok()),",
        caught_by: &["--lib consensus::tests::readers::an_index_without_the_ends_of_epochs_is_made_anew"],
    },
    Mutant {
        name: "blocks_read_again_to_the_end",
        file: "src/consensus/replay.rs",
        old: "ask(watch, state.height().saturating_sub(height), of_epoch)?;",
        new: "let _ = ask(watch, state.height().saturating_sub(height), of_epoch);",
        caught_by: &[
            "--lib consensus::tests::readers::a_start_can_be_ended_while_it_reads_the_blocks_of_the_epoch_again",
        ],
    },
    Mutant {
        name: "avoided_for_longer_and_longer",
        file: "src/consensus/sync/mod.rs",
        old: "AVOID_MS << failing.failures.min(AVOID_DOUBLINGS_MAX);",
        new: "AVOID_MS << failing.failures.min(40);",
        caught_by: &[
            "--lib consensus::tests::strangers::who_fails_again_and_again_is_avoided_for_so_long_at_most",
        ],
    },
    Mutant {
        name: "other_chains_asked_with_each_status",
        file: "src/consensus/sync/forks.rs",
        old: "Some(OtherChain::Sought(search)) if at.now_ms() < deadline(search) => return None,",
        new: "",
        caught_by: &[
            "--lib consensus::tests::forks::who_is_on_another_chain_is_asked_for_one_block_at_a_time",
        ],
    },
    Mutant {
        name: "proposals_of_any_chain",
        file: "src/consensus/verify.rs",
        old: "if proposal.block.header.chain_id != voters.chain_id || !proposal",
        new: "if !proposal",
        caught_by: &["--lib consensus::tests::answers::a_proposal_of_another_chain_is_none_of_this_one"],
    },
    Mutant {
        name: "left_out_batch_is_the_newest",
        file: "src/consensus/vote_pace.rs",
        old: "if may_pass {",
        new: "if author.end < u64::MAX {",
        caught_by: &["--lib consensus::vote_pace::tests::a_batch_that_is_left_out_changes_no_budget"],
    },
    Mutant {
        name: "a_turn_tells_at_its_end_alone",
        file: "src/consensus/engine.rs",
        old: "self.parts.shell.told.len() >= TOLD_MAX",
        new: "self.parts.shell.told.len() > TOLD_MAX << 20",
        caught_by: &[
            "--lib consensus::tests::engine::observers_hear_in_the_midst_of_a_turn_that_brings_much",
        ],
    },
    Mutant {
        name: "early_messages_of_the_gone_kept",
        file: "src/consensus/messages.rs",
        old: "if self.peers.is_connected(&from) {\n            let mut voters",
        new: "if true {\n            let mut voters",
        caught_by: &[
            "--lib consensus::tests::strangers::what_comes_early_of_somebody_who_is_not_there_is_not_kept",
        ],
    },
    Mutant {
        name: "own_start_named_as_a_rival",
        file: "src/consensus/instances.rs",
        old: "if instance.start == self.mine.start {\n            return;",
        new: "if instance == self.mine {\n            return;",
        caught_by: &["--lib consensus::instances::tests::a_node_does_not_name_itself_as_a_rival"],
    },
    Mutant {
        name: "a_copy_takes_a_journaled_bodys_place",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "            // The journal has it.\n            return;\n",
        new: "",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_copy_takes_no_place_of_a_body_that_was_left_to_the_journal",
        ],
    },
    Mutant {
        name: "third_proposal_reported_again",
        file: "src/protocol/bft/machine/log.rs",
        old: "if kept_before == 1\n",
        new: "if kept_before >= 1\n",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::a_third_proposal_that_votes_demand_is_kept_without_another_report",
        ],
    },
    Mutant {
        name: "second_batches_unbounded",
        file: "src/protocol/finality/batches.rs",
        old: "differs && received.others.len() < OTHER_BATCHES_MAX && !received",
        new: "differs && !received",
        caught_by: &[
            "--lib protocol::finality::batches::tests::second_batches_of_a_validator_are_taken_up_to_a_number",
        ],
    },
    Mutant {
        name: "certificates_turned_away",
        file: "src/protocol/finality/machine/counting.rs",
        old: "let is_bounded = !is_known && matches!(source, VoteSource::Batch(..));",
        new: "let is_bounded = !is_known;",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_certificate_counts_behind_a_flood_of_votes_for_what_does_not_exist",
        ],
    },
    Mutant {
        name: "sources_beyond_the_quorum_kept",
        file: "src/protocol/finality/tally.rs",
        old: "if self.weight < set.quorum() {",
        new: "if self.weight < u64::MAX {",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_certificate_has_no_more_votes_than_it_needs",
        ],
    },
    Mutant {
        name: "answers_of_parts_of_a_millisecond_lost",
        file: "src/consensus/serve.rs",
        old: "self.refilled.checked_add(Duration::from_millis(elapsed_ms)).unwrap_or(now);",
        new: "now;",
        caught_by: &["--lib consensus::serve::tests::parts_of_a_millisecond_are_not_lost"],
    },
    Mutant {
        name: "children_of_a_loser_wait",
        file: "src/admission/checks.rs",
        old: "!matches!(parent.stage, crate::mempool::Stage::Conflicting);",
        new: "true;",
        caught_by: &["--lib admission::tests::coins::no_users_child_waits_for_one_that_lost_to_a_rival"],
    },
    Mutant {
        name: "locks_taken_for_finality",
        file: "src/consensus/finality/mod.rs",
        old: "VoteKind::Final => self.machine.is_final(&vote.txid),",
        new: "VoteKind::Final => self.machine.is_certified(&vote.txid),",
        caught_by: &[
            "--lib consensus::tests::rivals::a_certificate_of_final_votes_is_looked_at_until_its_transaction_is_final",
        ],
    },
    Mutant {
        name: "one_that_is_gone_keeps_other_children",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "if !self.forget_body(txid, &reason) {\n                continue;",
        new: "if !self.forget_body(txid, &reason) {\n                return;",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::all_children_of_what_no_block_can_take_any_more_are_dropped_with_it",
        ],
    },
    Mutant {
        name: "imported_records_written_again",
        file: "src/storage/journal_import.rs",
        old: "std::mem::take(&mut self.pending);",
        new: "self.pending.clone();",
        caught_by: &[
            "--lib storage::journal_import::tests::records_that_are_written_in_parts_are_there_once_each_and_in_their_order",
        ],
    },
    Mutant {
        name: "rivals_without_a_body_hide_others",
        file: "src/protocol/finality/machine/contradictions.rs",
        old: "entry.lock_votes.has_voted(member) && entry.resident().is_some())",
        new: "entry.lock_votes.has_voted(member))",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_contradiction_is_found_whatever_was_voted_for_bodies_that_were_let_go",
        ],
    },
    Mutant {
        name: "all_certificates_in_each_part",
        file: "src/consensus/blocks/candidates.rs",
        old: "finality.certificate_parts(VoteKind::Lock, chunk);",
        new: "finality.certificate_parts(VoteKind::Lock, lacking);",
        caught_by: &["--lib consensus::tests::promises_that_were_left_out_are_sent_once_each_and_in_parts"],
    },
    Mutant {
        name: "timers_set_meanwhile_slept_through",
        file: "src/consensus/timeout_monitor.rs",
        old: "for_each(elapsed));\n                continue;",
        new: "for_each(elapsed));",
        caught_by: &[
            "--lib consensus::timeout_monitor::tests::a_timer_that_is_set_while_another_one_elapses_is_not_slept_through",
        ],
    },
    // -- events ---------------------------------------------------------------------------------------------------
    Mutant {
        name: "cursor_of_another_start_goes_on_here",
        file: "src/rpc/events/reader.rs",
        old: "        if life != self.log.life {\n            return false;\n        }\n",
        new: "        let _ = life;\n",
        caught_by: &[
            "--lib rpc::events::tests::after_a_restart_blocks_and_pool_tell_what_the_ring_does_not_know",
        ],
    },
    Mutant {
        name: "finals_of_the_pool_not_told",
        file: "src/rpc/events/reader.rs",
        old: "while !matches!(self.topic, Topic::Blocks) {",
        new: "while self.topic == Topic::Mempool {",
        caught_by: &[
            "--lib rpc::events::tests::after_a_restart_blocks_and_pool_tell_what_the_ring_does_not_know",
        ],
    },
    Mutant {
        name: "rest_of_a_full_page_lost",
        file: "src/rpc/events/reader.rs",
        old: "let cursor = match self.pool_place {",
        new: "let cursor = match self.pool_place.filter(|_| false) {",
        caught_by: &["--lib rpc::events::tests::a_page_that_is_full_says_where_the_rest_is"],
    },
    Mutant {
        name: "cursors_stand_behind_the_last_block",
        file: "src/rpc/events.rs",
        old: "self.get(sequence).map_or(otherwise, |entry| entry.height)",
        new: "otherwise",
        caught_by: &[
            "--lib rpc::events::tests::what_the_ring_has_forgotten_is_read_from_the_blocks_above_the_cursors_height",
        ],
    },
    Mutant {
        name: "intervals_by_the_clock_that_is_set",
        file: "src/consensus/events.rs",
        old: "monotonic_ms: Clock.monotonic_ms(),",
        new: "monotonic_ms: Clock.now_ms(),",
        caught_by: &[
            "--lib consensus::tests::engine::intervals_run_on_the_clock_that_nobody_sets_and_times_are_said_by_the_other_one",
        ],
    },
    Mutant {
        name: "bodies_in_the_chain_take_room",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "entries.get(txid).is_some_and(|entry| entry.certified.is_none());",
        new: "entries.get(txid).is_none_or(|entry| entry.certified.is_none());",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::what_is_in_the_chain_takes_no_room_of_locked_bodies",
        ],
    },
    Mutant {
        name: "announced_for_ever",
        file: "src/admission/announcements.rs",
        old: "                due.push(txid);\n                self.watched.push_back((now_ms.saturating_add(ANNOUNCE_AFTER_MS), txid));\n            }",
        new: "                due.push(txid);\n            }\n            self.watched.push_back((now_ms.saturating_add(ANNOUNCE_AFTER_MS), txid));",
        caught_by: &[
            "--lib admission::announcements::tests::what_has_its_votes_makes_room_for_what_comes_later",
        ],
    },
    Mutant {
        name: "last_key_of_a_page_again",
        file: "src/storage/fjall_index.rs",
        old: "Some(after) if after >= prefix",
        new: "Some(after) if after > prefix",
        caught_by: &["--lib storage::index_store::tests::every_store_goes_on_behind_the_last_key_of_a_page"],
    },
    Mutant {
        name: "proposals_not_written",
        file: "src/storage/journal_record.rs",
        old: "OwnMessage::Proposal(proposal) => Some(Self::Proposal(Arc::clone(proposal))),",
        new: "OwnMessage::Proposal(_) => None,",
        caught_by: &[
            "--lib consensus::tests::restored::who_proposed_and_starts_again_says_the_same_proposal_and_no_other_one",
        ],
    },
    Mutant {
        name: "left_out_batches_known",
        file: "src/consensus/incoming.rs",
        old: "            if !self.engine.pace().may_pass(batch, self.now) {",
        new: "            self.engine.known().note(name);\n            if !self.engine.pace().may_pass(batch, self.now) {",
        caught_by: &[
            "--lib consensus::incoming::tests::what_was_left_out_passes_once_its_author_has_a_pace_again",
        ],
    },
    Mutant {
        name: "certificates_wanted_of_who_did_not_lock",
        file: "src/protocol/finality/machine/counting.rs",
        old: "for member in entry.final_votes.voters() {",
        new: "for member in entry.lock_votes.voters() {",
        caught_by: &[
            "--lib protocol::finality::tests::a_certificate_that_is_here_is_asked_for_no_more_whoever_named_it",
        ],
    },
    Mutant {
        name: "one_set_an_epoch_for_early_votes",
        file: "src/consensus/blocks/mod.rs",
        old: "!voters.iter().any(|known| (known.epoch, &known.set) == (epoch, set));",
        new: "!voters.iter().any(|known| known.epoch == epoch);",
        caught_by: &[
            "--lib consensus::tests::evidence::early_votes_of_the_next_epoch_are_kept_by_the_set_of_each_block_that_may_be_its_last",
        ],
    },
    Mutant {
        name: "admission_outlives_consensus",
        file: "src/admission/thread.rs",
        old: "            if thread.turn().is_err() {\n                return;\n            }",
        new: "            let _gone = thread.turn().is_err();",
        caught_by: &[
            "--lib admission::thread::tests::the_thread_ends_when_consensus_is_gone_though_nobody_stops_it",
        ],
    },
    Mutant {
        name: "body_read_and_not_told",
        file: "src/consensus/finality/mod.rs",
        old: "            self.step(Input::BodyLoaded(checked), at, out);\n            out.tell(Fact::BodyArrived(txid));",
        new: "            self.step(Input::BodyLoaded(checked), at, out);",
        caught_by: &[
            "--lib consensus::tests::answers::a_block_has_a_body_that_was_left_to_the_journal_once_it_was_read",
        ],
    },
    Mutant {
        name: "block_of_another_height_served",
        file: "src/storage/block_log.rs",
        old: ".filter(|(found, ..)| *found == height)\n            .and_then(|(_, committed, _)|",
        new: ".and_then(|(_, committed, _)|",
        caught_by: &["--lib storage::block_log::tests::a_block_of_another_height_is_never_served"],
    },
    Mutant {
        name: "wanted_by_several_is_asked_for_twice",
        file: "src/protocol/finality/machine/reading.rs",
        old: "                    seen.insert(*txid);\n",
        new: "                    if wanted.is_empty() {\n                        seen.insert(*txid);\n                    }\n",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_certificate_that_several_members_want_is_asked_for_once",
        ],
    },
    Mutant {
        name: "announcing_what_is_here_takes_a_turn",
        file: "src/admission/checks.rs",
        old: "if unknown.is_empty() || !self.announcements.may_ask(from, now.steady_ms) {",
        new: "if !self.announcements.may_ask(from, now.steady_ms) || unknown.is_empty() {",
        caught_by: &[
            "--lib admission::tests::announced::a_peer_that_announced_what_is_here_is_asked_for_what_it_announces_next",
        ],
    },
    Mutant {
        name: "incomplete_block_holds_up_the_others",
        file: "src/consensus/blocks/candidates.rs",
        old: "let Some(transactions) = finality.bodies_of(blueprint.transfers()) else { continue };",
        new: "let Some(transactions) = finality.bodies_of(blueprint.transfers()) else { return };",
        caught_by: &[
            "--lib consensus::tests::candidates::a_block_one_of_whose_bodies_was_let_go_holds_up_no_other",
        ],
    },
    Mutant {
        name: "full_disk_taken_for_damage",
        file: "src/storage/fjall_index.rs",
        old: "            fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))\n                if is_of_machine(&error) =>\n            {",
        new: "            fjall::Error::Io(error) if is_of_machine(&error) => {",
        caught_by: &[
            "--lib storage::fjall_index::tests::what_the_operating_system_refuses_is_no_damage_of_a_fjall",
        ],
    },
    Mutant {
        name: "act_dated_by_its_punishment",
        file: "src/consensus/replay.rs",
        old: "            height: evidence.height(),",
        new: "            height: Some(block.header.height),",
        caught_by: &[
            "--lib consensus::tests::evidence::what_a_block_punishes_is_noted_with_the_height_of_the_act",
        ],
    },
    Mutant {
        name: "late_votes_are_kept",
        file: "src/protocol/finality/machine/counting.rs",
        old: "if self.settled.contains(&txid) || !self.tally_vote(member, vote, source) {",
        new: "if !self.tally_vote(member, vote, source) {",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::late_votes_for_what_a_block_contains_leave_nothing_behind",
        ],
    },
    Mutant {
        name: "fork_sought_at_who_is_gone",
        file: "src/consensus/dispatch.rs",
        old: "if self.peers.is_connected(&peer) {\n            let found = self.forks.suspect",
        new: "if self.peers.is_connected(&peer) || height > 0 {\n            let found = self.forks.suspect",
        caught_by: &["--lib consensus::tests::forks::no_search_for_a_fork_begins_at_a_peer_that_is_gone"],
    },
    Mutant {
        name: "signs_on_after_a_fork",
        file: "src/consensus/dispatch.rs",
        old: "        self.signer.on_fork(&mut self.out);\n        self.change_signer();",
        new: "        self.signer.on_fork(&mut self.out);",
        caught_by: &["--lib consensus::tests::forks::who_has_found_a_fork_signs_nothing_more_at_that_height"],
    },
    Mutant {
        name: "delete_hides_the_last_put_alone",
        file: "src/storage/fjall_index.rs",
        old: "batch.remove(tree, key)",
        new: "batch.remove_weak(tree, key)",
        caught_by: &[
            "--lib storage::fjall_index::tests::a_key_that_was_put_twice_and_then_deleted_stays_away_when_tables_are_merged",
        ],
    },
    Mutant {
        name: "coins_of_an_address_not_summed",
        file: "src/storage/index_history.rs",
        old: "sum.1 = Amount(sum.1.0.saturating_add(entry.output.value.0));",
        new: "sum.1 = entry.output.value;",
        caught_by: &[
            "--lib storage::index::tests::history::what_one_transaction_spends_of_an_address_is_the_sum_of_its_coins",
        ],
    },
    Mutant {
        name: "block_proved_by_another_set",
        file: "src/protocol/finality_proof.rs",
        old: "if !is_of(commit, header) || header.validators_hash != set.hash() {",
        new: "if !is_of(commit, header) {",
        caught_by: &[
            "--lib protocol::finality_proof::tests::a_block_makes_no_proof_with_another_blocks_commit_or_another_epochs_set",
        ],
    },
    Mutant {
        name: "payloads_found_by_their_number",
        file: "src/protocol/transition.rs",
        old: "let Some(checked) = transactions.get(*place) else { continue };",
        new: "let Some(checked) = transactions.get(receipts.len().min(*place)) else { continue };",
        caught_by: &[
            "--lib protocol::masternodes::tests::payloads::what_stands_among_payments_takes_effect_like_what_stands_alone",
        ],
    },
    Mutant {
        name: "final_votes_wait_for_blocks",
        file: "src/protocol/finality/machine/signer.rs",
        old: "        if self.is_silent() {\n            return;\n        }\n        // They",
        new: "        if self.is_silent() || self.blocks_must_catch_up() {\n            return;\n        }\n        // They",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::what_was_held_while_blocks_lag_says_its_final_votes_at_once_and_its_locks_later",
        ],
    },
    Mutant {
        name: "page_begins_before_its_prefix",
        file: "src/storage/sled_index.rs",
        old: "Some(after) if after >= prefix => Bound::Excluded(after),",
        new: "Some(after) => Bound::Excluded(after),",
        caught_by: &["--lib storage::index_store::tests::every_store_goes_on_behind_the_last_key_of_a_page"],
    },
    Mutant {
        name: "known_contradictions_told_again",
        file: "src/consensus/evidence.rs",
        old: "            Ok(true) => out.relay(Message::Evidence(piece), None),\n            Ok(false) => {}",
        new: "            Ok(_) => out.relay(Message::Evidence(piece), None),",
        caught_by: &[
            "--lib consensus::tests::evidence::further_contradictions_of_one_masternode_that_are_seen_here_are_not_told",
        ],
    },
    Mutant {
        name: "votes_after_a_start_at_a_closing_height",
        file: "src/protocol/finality/machine.rs",
        old: "closing: state.is_closing(),",
        new: "closing: false,",
        caught_by: &[
            "--lib protocol::finality::tests::who_starts_at_a_closing_height_votes_for_nothing_before_the_next_epoch",
        ],
    },
    Mutant {
        name: "steps_on_while_a_fetched_block_is_written",
        file: "src/consensus/blocks/mod.rs",
        old: "            if self.is_committing() {\n                // Decided",
        new: "            if false {\n                // Decided",
        caught_by: &[
            "--lib consensus::tests::answers::nothing_is_voted_at_a_height_whose_block_was_fetched_and_is_being_written",
        ],
    },
    Mutant {
        name: "fork_sought_at_the_own_tip",
        file: "src/consensus/messages.rs",
        old: "self.suspect_fork(from, height);",
        new: "self.suspect_fork(from, self.chain.height());",
        caught_by: &[
            "--lib consensus::tests::forks::who_is_behind_on_another_chain_is_asked_for_the_block_at_its_own_tip",
        ],
    },
    Mutant {
        name: "strangers_vote_ends_a_certificate",
        file: "src/protocol/finality/machine/counting.rs",
        old: "            if let Some(member) = self.set.index_of(&proof.header.validator) {",
        new: "            let Some(member) = self.set.index_of(&proof.header.validator) else { return };\n            {",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::a_certificate_counts_by_its_members_votes_whoever_stands_among_them",
        ],
    },
    Mutant {
        name: "first_file_alone_is_judged",
        file: "src/storage/log_check.rs",
        old: "    match reports.into_iter().find_map(|report| report.problem) {",
        new: "    match reports.into_iter().next().and_then(|report| report.problem) {",
        caught_by: &[
            "--lib storage::log_check::tests::no_blocks_are_looked_at_in_a_log_whichever_of_its_files_is_damaged",
        ],
    },
    Mutant {
        name: "peers_wait_in_the_bytes_of_users",
        file: "src/admission/thread.rs",
        old: "Queue::new(PEER_QUEUE_MAX, PEER_QUEUE_BYTES_MAX)",
        new: "Queue::new(PEER_QUEUE_MAX, USER_QUEUE_BYTES_MAX)",
        caught_by: &[
            "--lib admission::thread::tests::bodies_of_peers_wait_up_to_the_bytes_of_their_queue_and_no_further",
        ],
    },
    Mutant {
        name: "begun_copy_is_gone_on_with",
        file: "src/storage/log_repair.rs",
        old: "    target.truncate(0)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::log_check::tests::a_cut_that_is_interrupted_at_any_step_is_done_by_the_next_one",
        ],
    },
    Mutant {
        name: "signatures_held_ahead_though_they_failed",
        file: "src/consensus/sync/ahead.rs",
        old: "let held = verifier.verify_all(&checks).err().unwrap_or(checks.len());",
        new: "let held = verifier.verify_all(&checks).map_or(checks.len(), |()| checks.len());",
        caught_by: &[
            "--lib consensus::tests::catching_up::a_signature_that_was_held_ahead_is_not_checked_again_and_every_other_one_is",
        ],
    },
    Mutant {
        name: "spent_by_a_block_that_is_written_unseen",
        file: "src/consensus/blocks/committing.rs",
        old: "outcome.spent.iter().map(|(outpoint, _)| (*outpoint, None));",
        new: "outcome.spent.iter().map(|(outpoint, entry)| (*outpoint, Some(*entry)));",
        caught_by: &[
            "--lib consensus::tests::catching_up::what_a_block_that_is_being_written_spends_is_spent",
        ],
    },
    Mutant {
        name: "blocks_follow_one_after_which_the_epoch_closes",
        file: "src/consensus/blocks/committing.rs",
        old: "last.committed.block.header.epoch_end || last.outcome.state.is_closing();",
        new: "last.committed.block.header.epoch_end;",
        caught_by: &[
            "--lib consensus::tests::catching_up::nothing_is_put_behind_a_block_after_which_the_epoch_closes_or_that_ends_it",
        ],
    },
    Mutant {
        name: "later_spend_forgotten_with_an_earlier_block",
        file: "src/consensus/blocks/committing.rs",
        old: ".is_some_and(|(changed, _)| *changed == height)",
        new: ".is_some_and(|(changed, _)| *changed >= height)",
        caught_by: &[
            "--lib consensus::tests::catching_up::what_is_spent_stays_spent_while_an_earlier_block_becomes_the_tip",
        ],
    },
    Mutant {
        name: "votes_after_another_part_failed",
        file: "src/consensus/vote_journal.rs",
        old: "if !may_sign() {",
        new: "if false {",
        caught_by: &[
            "--lib consensus::vote_journal::tests::what_waits_when_another_part_has_failed_is_neither_written_nor_sent_and_makes_room",
        ],
    },
    Mutant {
        name: "node_starts_on_a_full_disk",
        file: "src/app/disk_space.rs",
        old: "if room.free_bytes < min_free_mb.saturating_mul(1_000_000) {",
        new: "if false {",
        caught_by: &[
            "--lib app::disk_space::tests::with_less_room_than_configured_nothing_starts_and_the_path_and_the_way_out_are_named",
        ],
    },
    Mutant {
        name: "fuller_disk_overlooked",
        file: "src/app/disk_space.rs",
        old: "rooms.min_by_key(",
        new: "rooms.max_by_key(",
        caught_by: &[
            "--lib app::disk_space::tests::a_part_of_the_data_on_a_fuller_disk_is_the_one_that_counts",
        ],
    },
    Mutant {
        name: "stop_waits_for_the_whole_index",
        file: "src/storage/index_writer.rs",
        old: "if queue.close_by.is_some_and(|at| Clock.instant() >= at) && !queue.changes.is_empty() {",
        new: "if false {",
        caught_by: &[
            "--lib storage::index_writer::tests::what_is_not_applied_in_time_is_left_to_the_next_start",
        ],
    },
    Mutant {
        name: "bans_believed_without_their_hash",
        file: "src/network/ban_file.rs",
        old: "if sum != Some(blake3::hash(before.as_bytes()).to_hex().as_str()) {",
        new: "if sum.is_none() || before.is_empty() {",
        caught_by: &["--lib network::ban_file::tests::any_wrong_bit_is_noticed"],
    },
    Mutant {
        name: "copy_with_a_gap_takes_the_indexs_place",
        file: "src/app/care/compact.rs",
        old: "differs || compared != total",
        new: "differs",
        caught_by: &[
            "--test care index::a_copy_that_was_stopped_goes_on_where_it_was_unless_the_index_has_changed_or_the_copy_has",
        ],
    },
    Mutant {
        name: "strange_ids_are_never_answered",
        file: "src/rpc/request.rs",
        old: "if !entries.iter().any(is_silent) {",
        new: "if entries.iter().any(is_silent) || !entries.is_empty() {",
        caught_by: &["--lib rpc::request::tests::an_entry_of_a_batch_is_silent_only_without_an_id"],
    },
    Mutant {
        name: "frames_of_a_message_counted_alone",
        file: "src/rpc/frames.rs",
        old: "self.message_bytes = self.message_bytes.saturating_add(header.payload_len());",
        new: "self.message_bytes = header.payload_len();",
        caught_by: &["--lib rpc::frames::tests::a_message_ends_before_the_frame_that_makes_it_too_large"],
    },
    Mutant {
        name: "a_syncs_payments_counted_as_new",
        file: "src/cli/top/finality.rs",
        old: "if event.reward || event.state != FINAL {",
        new: "if event.reward {",
        caught_by: &[
            "--lib cli::top::finality::tests::a_minute_counts_payments_by_second_and_forgets_older_ones",
        ],
    },
    Mutant {
        name: "rules_without_a_quorum",
        file: "src/protocol/activation.rs",
        old: "let knows = |set: &ValidatorSet, version| self.weight_of(set, version) >= set.quorum();",
        new: "let knows = |set: &ValidatorSet, version| self.weight_of(set, version) > 0;",
        caught_by: &[
            "--lib protocol::activation::tests::a_version_that_a_quorum_announced_is_in_force_one_whole_epoch_after_it_became_pending",
        ],
    },
    Mutant {
        name: "pending_rules_need_no_quorum",
        file: "src/protocol/activation.rs",
        old: "self.pending.filter(|pending| self.has_quorum(sets, pending.version))",
        new: "self.pending",
        caught_by: &[
            "--lib protocol::activation::tests::a_pending_version_is_withdrawn_when_a_set_on_either_side_lacks_a_quorum_that_knows_it",
        ],
    },
    Mutant {
        name: "announcements_outlive_their_member",
        file: "src/protocol/activation.rs",
        old: "*known > in_force && next.members().iter().any(|member| member.id == *id)",
        new: "*known > in_force",
        caught_by: &[
            "--lib protocol::activation::tests::only_members_are_remembered_and_only_what_is_not_in_force",
        ],
    },
    Mutant {
        name: "rules_of_a_header_unchecked",
        file: "src/protocol/transition.rs",
        old: "let (expected, found) = (state.rules.in_force(), header.rules);",
        new: "let (expected, found) = (header.rules, header.rules);",
        caught_by: &[
            "--lib protocol::transition::tests::activation::a_header_names_the_rules_in_force_and_announces_no_less",
        ],
    },
    Mutant {
        name: "announcement_not_noted",
        file: "src/protocol/transition.rs",
        old: "    after.rules.note(draft.proposer, draft.announces);\n",
        new: "",
        caught_by: &[
            "--lib protocol::transition::tests::activation::rules_that_a_quorum_announced_are_in_force_after_one_whole_epoch_of_warning",
        ],
    },
    Mutant {
        name: "rules_left_out_of_the_digest",
        file: "src/protocol/state.rs",
        old: "if self.rules != before.rules {",
        new: "if self.rules.in_force() != before.rules.in_force() {",
        caught_by: &[
            "--lib protocol::transition::tests::activation::rules_that_a_quorum_announced_are_in_force_after_one_whole_epoch_of_warning",
        ],
    },
    Mutant {
        name: "new_rules_held_before_their_time",
        file: "src/protocol/validity.rs",
        old: "if !state.rules().include(RuleVersion::DUST) {",
        new: "if state.height() == 0 {",
        caught_by: &[
            "--lib protocol::transition::tests::activation::dust_is_refused_from_the_first_block_under_the_rules_that_forbid_it",
        ],
    },
    Mutant {
        name: "outdated_program_goes_on",
        file: "src/consensus/dispatch.rs",
        old: "        if self.chain.unknown_rules().is_some() {\n            return Vec::new();\n        }\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::outdated::a_program_that_does_not_know_the_rules_in_force_stops_behind_the_block_before_them",
        ],
    },
    Mutant {
        name: "outdated_program_opens_the_chain",
        file: "src/consensus/replay.rs",
        old: "    state.rules().check_known(knows)?;\n    let last_commit",
        new: "    let last_commit",
        caught_by: &[
            "--lib consensus::tests::outdated::a_program_that_does_not_know_the_rules_in_force_does_not_open_the_chain",
        ],
    },
    Mutant {
        name: "newest_version_of_either_side",
        file: "src/network/versions.rs",
        old: "let newest = self.newest.min(other.newest);",
        new: "let newest = self.newest.max(other.newest);",
        caught_by: &["--lib network::versions::tests::both_ends_agree_on_the_newest_version_that_both_speak"],
    },
    Mutant {
        name: "kinds_of_later_versions_sent",
        file: "src/network/connection.rs",
        old: "if self.closing.is_cancelled() || !kind.is_in(self.version) {",
        new: "if self.closing.is_cancelled() {",
        caught_by: &["--lib network::connection::tests::a_message_that_the_agreed_version_lacks_is_not_sent"],
    },
    Mutant {
        name: "snapshot_sum_unchecked",
        file: "src/protocol/snapshot.rs",
        old: "if holds { Ok(()) } else { Err(SnapshotError::Sum) }",
        new: "if holds || !holds { Ok(()) } else { Err(SnapshotError::Sum) }",
        caught_by: &["--lib protocol::snapshot::tests::every_part_of_a_manifest_counts"],
    },
    Mutant {
        name: "copies_of_an_output_in_a_chunk",
        file: "src/protocol/snapshot.rs",
        old: "outputs.is_sorted_by(|(before, _), (after, _)| before < after)",
        new: "outputs.is_sorted_by(|(before, _), (after, _)| before <= after)",
        caught_by: &["--lib protocol::snapshot::tests::a_manifest_can_not_hide_copies"],
    },
    Mutant {
        name: "files_removed_before_the_horizon_says_so",
        file: "src/storage/block_log.rs",
        old: "        kept.write(&self.disk, &self.dir, &self.chain_id)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::block_log::horizon_tests::a_crash_at_any_step_of_pruning_leaves_a_log_that_opens_and_no_block_from_the_horizon_on_is_lost",
        ],
    },
    Mutant {
        name: "later_outputs_in_a_snapshot",
        file: "src/storage/index_scan.rs",
        old: "if self.at.is_none_or(|at| record.height <= at) {",
        new: "if self.at.is_none_or(|at| record.height >= at || record.height <= at) {",
        caught_by: &[
            "--lib consensus::tests::snapshots::a_node_that_begins_with_a_snapshot_of_any_epoch_is_where_all_others_are",
        ],
    },
    Mutant {
        name: "false_chunk_taken",
        file: "src/app/snapshots/fetch.rs",
        old: "if !chunk_holds(manifest, place, bytes) {",
        new: "if bytes.is_empty() {",
        caught_by: &[
            "--lib app::snapshots::fetch::tests::chunks_that_are_here_and_hold_are_not_fetched_again",
        ],
    },
    Mutant {
        name: "liar_is_asked_again",
        file: "src/app/snapshots/fetch_plan.rs",
        old: "        self.leave(peer);\n        Some(peer)",
        new: "        Some(peer)",
        caught_by: &["--lib app::snapshots::fetch_plan::tests::a_liar_wastes_what_it_was_asked_for_at_once"],
    },
    Mutant {
        name: "chunks_of_any_size",
        file: "src/protocol/snapshot.rs",
        old: "if count == 0 || count > CHUNK_OUTPUTS_MAX || !is_behind {",
        new: "if count == 0 || !is_behind {",
        caught_by: &[
            "--lib protocol::snapshot::tests::a_manifest_names_no_chunk_that_is_larger_than_one_may_be",
        ],
    },
    Mutant {
        name: "output_in_two_chunks",
        file: "src/protocol/snapshot.rs",
        old: "let is_placed = before < first && outputs.last()",
        new: "let is_placed = first.is_some() && before <= Some(head.last) && outputs.last()",
        caught_by: &[
            "--lib protocol::snapshot::tests::no_output_is_in_two_chunks_whatever_the_manifest_says",
        ],
    },
    Mutant {
        name: "past_epochs_in_any_order",
        file: "src/protocol/snapshot.rs",
        old: "if !follow || past.last() != Some(&self.header.epoch) {",
        new: "if follow && past.last() != Some(&self.header.epoch) {",
        caught_by: &[
            "--lib protocol::snapshot::tests::past_epochs_are_held_to_their_order_and_none_comes_twice",
        ],
    },
    Mutant {
        name: "late_evidence_is_blamed",
        file: "src/protocol/evidence.rs",
        old: "                | Self::NotMember { .. }\n                | Self::NotSlashable { .. }\n",
        new: "                | Self::NotMember { .. }\n",
        caught_by: &["--lib protocol::evidence::tests::who_is_late_with_evidence_is_not_to_blame"],
    },
    Mutant {
        name: "liar_takes_the_jails_room",
        file: "src/protocol/masternodes/membership.rs",
        old: "let record = registry.get(&member.id).filter(|record| record.is_eligible());\n        if let",
        new: "let record = registry.get(&member.id).filter(|record| !record.exited);\n        if let",
        caught_by: &[
            "--lib protocol::masternodes::tests::end_of_epoch::a_liar_who_was_absent_too_is_jailed_for_good_and_takes_nobodys_room",
        ],
    },
    Mutant {
        name: "proposals_long_past_kept",
        file: "src/protocol/bft/machine/log.rs",
        old: "let is_surplus = kept_before >= PROPOSALS_PER_ROUND_MAX || is_old;",
        new: "let is_surplus = kept_before >= PROPOSALS_PER_ROUND_MAX || (is_old && kept_before > 0);",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::a_proposal_of_a_round_long_past_is_kept_only_if_votes_demand_its_block",
        ],
    },
    Mutant {
        name: "votes_for_later_blocks_unbounded",
        file: "src/protocol/bft/machine/log.rs",
        old: "blocks.get(hash).is_some_and(|known| known.proposal.block.header.round <= vote.round)",
        new: "blocks.contains_key(hash)",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::votes_for_blocks_that_are_first_proposed_later_are_bounded_like_those_for_unknown_ones",
        ],
    },
    Mutant {
        name: "certified_bytes_unbounded",
        file: "src/protocol/finality/machine.rs",
        old: "count >= self.parameters.voted_unblocked_max || bytes >= self.parameters.voted_unblocked_bytes_max",
        new: "count >= self.parameters.voted_unblocked_max || bytes == u64::MAX",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::locks_wait_while_too_many_certified_bytes_wait_for_blocks",
        ],
    },
    Mutant {
        name: "certified_waits_on",
        file: "src/protocol/finality/machine/counting.rs",
        old: "                self.stop_waiting(&txid);\n                self.remove_unlocked(txid);\n            }\n            // A copy",
        new: "                self.remove_unlocked(txid);\n            }\n            // A copy",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::what_others_have_certified_waits_for_nothing_any_more",
        ],
    },
    Mutant {
        name: "final_votes_ask_for_no_body",
        file: "src/protocol/finality/machine/counting.rs",
        old: "        let body = becomes_final.then(|| entry.body.clone());\n        if self.set.exceeds_third(weight) {",
        new: "        let body = becomes_final.then(|| entry.body.clone());\n        if self.set.exceeds_third(weight) && self.is_certified(&txid) {",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::a_body_is_asked_for_beyond_a_third_of_the_final_votes_alone",
        ],
    },
    Mutant {
        name: "rivals_of_any_number",
        file: "src/types/message.rs",
        old: "                within(\"rivals\", statement.rivals.len(), INSTANCES_MAX)?;\n",
        new: "",
        caught_by: &["--lib types::message::tests::each_list_has_its_bound"],
    },
    Mutant {
        name: "acknowledgements_of_any_number",
        file: "src/types/message.rs",
        old: r#"within("acknowledgements", statement.acknowledged.len(), VALIDATORS_MAX)"#,
        new: r#"within("acknowledgements", statement.rivals.len(), VALIDATORS_MAX)"#,
        caught_by: &["--lib types::message::tests::each_list_has_its_bound"],
    },
    Mutant {
        name: "blocks_counted_one_by_one",
        file: "src/types/message.rs",
        old: "counts.fold(0, usize::saturating_add)",
        new: "counts.fold(0, usize::max)",
        caught_by: &[
            "--lib types::message::tests::there_are_no_more_transactions_than_could_be_valid_in_the_bytes_of_a_message",
        ],
    },
    Mutant {
        name: "batch_of_another_count",
        file: "src/types/vote.rs",
        old: "u32::try_from(self.votes.len()) == Ok(self.header.count)\n            && ",
        new: "",
        caught_by: &[
            "--lib types::vote::tests::a_batch_with_another_number_of_votes_than_its_header_says_is_noticed",
        ],
    },
    Mutant {
        name: "tier_without_weight",
        file: "src/types/genesis.rs",
        old: "self.tiers.iter().all(|tier| (1..=1_000_000).contains(&tier.weight))",
        new: "self.tiers.iter().all(|tier| (0..=1_000_000).contains(&tier.weight))",
        caught_by: &["--lib types::genesis::tests::each_bound_of_a_parameter_is_held_and_may_be_reached"],
    },
    Mutant {
        name: "payout_of_another_network",
        file: "src/types/genesis.rs",
        old: "self.masternodes.iter().flat_map(|m| [m.owner, m.payout]);",
        new: "self.masternodes.iter().map(|m| m.owner);",
        caught_by: &["--lib types::genesis::tests::each_rule_is_held"],
    },
    Mutant {
        name: "judged_without_a_place",
        file: "src/admission/thread.rs",
        old: "        let _entering = self.door.enter()?;\n        let (answer, answered) = oneshot::channel();",
        new: "        let (answer, answered) = oneshot::channel();",
        caught_by: &[
            "--lib admission::thread::tests::whoever_waits_for_an_answer_has_a_place_at_the_door_until_it_has_come",
        ],
    },
    Mutant {
        name: "place_given_back_at_once",
        file: "src/admission/thread.rs",
        old: "let _entering = self.door.enter().inspect_err(count_refusal)?;",
        new: "let _ = self.door.enter().inspect_err(count_refusal)?;",
        caught_by: &[
            "--lib admission::thread::tests::whoever_waits_for_an_answer_has_a_place_at_the_door_until_it_has_come",
        ],
    },
    Mutant {
        name: "submissions_wake_nobody",
        file: "src/admission/thread.rs",
        old: "purpose: Purpose::Submit(answer, fee_max) };\n        self.users.send(entry).await.map_err(|_| Refusal::Stopping)?;\n        self.wake.notify_one();\n",
        new: "purpose: Purpose::Submit(answer, fee_max) };\n        self.users.send(entry).await.map_err(|_| Refusal::Stopping)?;\n",
        caught_by: &["--lib admission::thread::tests::whatever_is_handed_in_wakes_the_thread"],
    },
    Mutant {
        name: "any_body_holds_up_a_proposal",
        file: "src/protocol/finality/machine/reading.rs",
        old: "self.wanted_bodies.is_empty() || self.certified.values().all(|txid| self.transaction(txid).is_some())",
        new: "self.wanted_bodies.is_empty()",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::a_proposer_waits_for_the_bodies_of_what_is_certified_and_for_no_others",
        ],
    },
    Mutant {
        name: "second_proof_of_lock_overlooked",
        file: "src/protocol/bft/machine/log.rs",
        old: "kept.hash == hash && kept.proposal.pol_round == proposal.pol_round;",
        new: "kept.hash == hash;",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::one_block_proposed_by_two_proofs_of_lock_is_a_contradiction_and_either_may_be_answered",
        ],
    },
    Mutant {
        name: "ranges_of_any_number",
        file: "src/protocol/finality/batches.rs",
        old: "        if self.ranges.len() > RANGES_MAX {\n            self.ranges.pop_first();\n        }\n",
        new: "",
        caught_by: &[
            "--lib protocol::finality::batches::tests::numbers_are_remembered_in_so_many_ranges_and_the_lowest_are_forgotten",
        ],
    },
    Mutant {
        name: "expired_child_waits_on",
        file: "src/admission/checks.rs",
        old: "            self.waiting.remove(txid);\n            for child",
        new: "            for child",
        caught_by: &[
            "--lib admission::tests::coins::a_child_whose_time_is_up_does_not_wait_on_for_a_parent_that_is_certified",
        ],
    },
    Mutant {
        name: "fees_take_no_room",
        file: "src/protocol/transition.rs",
        old: "let used = [state.supply, state.fees, state.reward_accrued];",
        new: "let used = [state.supply, state.reward_accrued];",
        caught_by: &["--lib protocol::transition::tests::minting_stops_at_64_bits_and_blocks_go_on"],
    },
    Mutant {
        name: "unbound_block_costs_signatures",
        file: "src/protocol/transition.rs",
        old: "    check_bindings(&blueprint, &[])?;\n",
        new: "",
        caught_by: &[
            "--lib protocol::transition::tests::cost::a_block_that_its_header_does_not_bind_or_that_is_of_elsewhere_costs_hashes_only",
        ],
    },
    Mutant {
        name: "few_bytes_claim_much",
        file: "src/types/codec.rs",
        old: "0..=256 => bincode::decode_from_slice(bytes, limited::<{ 2 * KIB }>()),",
        new: "0..=256 => bincode::decode_from_slice(bytes, limited::<{ 64 * MIB }>()),",
        caught_by: &["--lib types::codec::tests::nothing_claims_more_than_eight_times_its_bytes"],
    },
    Mutant {
        name: "unlocked_bodies_of_any_number",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "let over = self.unlocked.len() > UNLOCKED_BODIES_MAX || self.unlocked_bytes > UNLOCKED_BYTES_MAX;",
        new: "let over = self.unlocked.len() > UNLOCKED_BODIES_MAX * 2 || self.unlocked_bytes > UNLOCKED_BYTES_MAX;",
        caught_by: &[
            "--lib protocol::finality::machine::bodies::tests::no_more_bodies_than_there_are_places_for_are_kept_unlocked",
        ],
    },
    Mutant {
        name: "all_doors_decrease_together",
        file: "src/admission/load.rs",
        old: "pause_ms.saturating_add(pause_ms.saturating_mul(u64::from(self.jitter)) >> 10);",
        new: "pause_ms.saturating_add(pause_ms.saturating_mul(u64::from(self.jitter)) >> 40);",
        caught_by: &["--lib admission::load::tests::nodes_that_see_the_same_delays_do_not_decrease_together"],
    },
    Mutant {
        name: "followed_beyond_the_window",
        file: "src/admission/load.rs",
        old: "if self.flying.len() < WINDOW_MAX && self.flying.insert",
        new: "if self.flying.insert",
        caught_by: &["--lib admission::load::tests::no_more_are_followed_than_the_largest_window_has_places"],
    },
    Mutant {
        name: "votes_given_without_a_quorum",
        file: "src/protocol/finality/machine/reading.rs",
        old: "(tally.weight() >= self.set.quorum()).then(|| tally.sources().to_vec())",
        new: "(tally.weight() > 0).then(|| tally.sources().to_vec())",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::certificates_and_proofs_are_given_of_a_quorum_only",
        ],
    },
    Mutant {
        name: "certificate_given_without_a_quorum",
        file: "src/protocol/finality/machine/reading.rs",
        old: "        let tally = match vote.kind {\n            VoteKind::Lock => &entry.lock_votes,\n            VoteKind::Final => &entry.final_votes,\n        };\n        (tally.weight() >= self.set.quorum()).then(|| tally.certificate(vote, self.epoch))",
        new: "        let tally = match vote.kind {\n            VoteKind::Lock => &entry.lock_votes,\n            VoteKind::Final => &entry.final_votes,\n        };\n        (tally.weight() > 0).then(|| tally.certificate(vote, self.epoch))",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::certificates_and_proofs_are_given_of_a_quorum_only",
        ],
    },
    Mutant {
        name: "finality_proved_without_a_quorum",
        file: "src/protocol/finality/machine/reading.rs",
        old: "let is_quorum = votes.weight() >= self.set.quorum();",
        new: "let is_quorum = votes.weight() > 0;",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::certificates_and_proofs_are_given_of_a_quorum_only",
        ],
    },
    Mutant {
        name: "same_bytes_checked_each_time",
        file: "src/admission/checks.rs",
        old: "if origin.peer().is_none() || seen.insert(shape.copy_id()) {",
        new: "if seen.insert(shape.copy_id()) || !seen.is_empty() {",
        caught_by: &["--lib admission::tests::stores::the_same_bytes_in_one_turn_are_checked_once"],
    },
    Mutant {
        name: "locked_one_stays_as_it_was",
        file: "src/admission/mirror.rs",
        old: "        self.pool.mark_pending(&transaction.txid());\n",
        new: "",
        caught_by: &["--lib admission::tests::coins::what_is_locked_can_be_voted_on_whatever_was_in_its_way"],
    },
    Mutant {
        name: "fork_of_two_rounds_accuses",
        file: "src/types/fork.rs",
        old: "        if ours.round != theirs.round {\n            return Vec::new();\n        }\n",
        new: "",
        caught_by: &[
            "--lib protocol::evidence::tests::a_fork_accuses_who_signed_both_blocks_in_one_round_and_nobody_else",
        ],
    },
    Mutant {
        name: "offers_of_the_excluded_count",
        file: "src/app/snapshots/fetch.rs",
        old: "Heard::Said(peer, Message::Snapshots(offers)) if !self.excluded.contains(peer) => {",
        new: "Heard::Said(peer, Message::Snapshots(offers)) => {",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::who_gave_something_false_is_asked_for_nothing_more_and_others_give_it",
        ],
    },
    Mutant {
        name: "who_left_a_plan_comes_back",
        file: "src/app/snapshots/fetch_plan.rs",
        old: "if !self.left.contains(&peer) {",
        new: "if !self.left.is_empty() || !self.left.contains(&peer) {",
        caught_by: &[
            "--lib app::snapshots::fetch_plan::tests::who_was_false_late_or_gone_too_often_is_not_asked_again_though_it_offers_the_same_anew",
        ],
    },
    Mutant {
        name: "fetch_stalled_for_ever",
        file: "src/app/snapshots/fetch_plan.rs",
        old: "let is_stalled = now_ms >= self.good_ms.saturating_add(STALLED_MS);",
        new: "let is_stalled = now_ms == u64::MAX;",
        caught_by: &[
            "--lib app::snapshots::fetch_plan::tests::a_snapshot_that_only_ever_new_peers_offer_and_none_gives_is_given_up",
        ],
    },
    Mutant {
        name: "late_peers_are_asked_for_other_snapshots",
        file: "src/app/snapshots/fetch.rs",
        old: "Misbehaviour::Unanswered);\n            self.exclude(peer);",
        new: "Misbehaviour::Unanswered);",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::who_was_late_is_not_asked_for_another_snapshot_either",
        ],
    },
    Mutant {
        name: "proof_of_any_block_of_the_chain_taken",
        file: "src/app/snapshots/fetch.rs",
        old: "(block == offer.block).then(|| (proved, bytes.to_vec()))",
        new: "(block.height > 0).then(|| (proved, bytes.to_vec()))",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::a_proof_of_another_block_of_the_chain_is_as_good_as_none",
        ],
    },
    Mutant {
        name: "failures_without_a_bound",
        file: "src/app/snapshots/fetch.rs",
        old: "        if self.refused.len().saturating_add(self.excluded.len()) > FAILURES_MAX {\n            found.clear();\n        }\n",
        new: "",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::so_many_failures_and_no_more_keep_a_node_from_its_first_block",
        ],
    },
    Mutant {
        name: "offers_waited_for_again_and_again",
        file: "src/app/snapshots/fetch.rs",
        old: "until = until.min(Clock.instant() + OFFERS_WAIT);",
        new: "until = Clock.instant() + OFFERS_WAIT;",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::offers_that_come_again_and_again_are_not_waited_for",
        ],
    },
    Mutant {
        name: "body_of_a_proved_block_unbound",
        file: "src/app/snapshots/verify.rs",
        old: "if block.header != *header || !block.blueprint().is_bound_by_header() {",
        new: "if block.header != *header {",
        caught_by: &[
            "--lib app::snapshots::verify::tests::a_block_is_taken_with_just_what_its_proved_header_binds_and_a_quorum_signed",
        ],
    },
    Mutant {
        name: "commit_of_a_fetched_block_unchecked",
        file: "src/app/snapshots/verify.rs",
        old: "        check_commit(&header.chain_id, of, named, commit, &*self.verifier)\n            .map_err(|error| error.to_string())?;\n        Ok(committed)",
        new: "        let _ = check_commit(&header.chain_id, of, named, commit, &*self.verifier);\n        Ok(committed)",
        caught_by: &[
            "--lib app::snapshots::verify::tests::a_block_is_taken_with_just_what_its_proved_header_binds_and_a_quorum_signed",
        ],
    },
    Mutant {
        name: "anchored_proof_given_to_anybody",
        file: "src/app/snapshots/source.rs",
        old: "Ok(bytes.filter(|bytes| decode::<ChainProof>(bytes).is_ok_and(|proof| proof.trusts().is_none())))",
        new: "Ok(bytes)",
        caught_by: &[
            "--lib app::snapshots::source::tests::whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none",
        ],
    },
    Mutant {
        name: "proof_of_another_question_given",
        file: "src/app/snapshots/source.rs",
        old: "position(|known| known.question == *question)",
        new: "position(|known| known.question.0 == question.0)",
        caught_by: &[
            "--lib app::snapshots::source::tests::whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none",
        ],
    },
    Mutant {
        name: "damaged_snapshot_hides_others",
        file: "src/app/snapshots/source.rs",
        old: "Err(problem @ StorageError::Corrupt { .. }) => {",
        new: "Err(problem @ StorageError::Poisoned { .. }) => {",
        caught_by: &[
            "--lib app::snapshots::source::tests::all_whole_snapshots_are_offered_the_newest_first_and_a_damaged_one_hides_no_other",
        ],
    },
    Mutant {
        name: "left_out_up_to_the_newest_snapshot",
        file: "src/app/snapshots.rs",
        old: "let oldest = self.store.list().ok()?.last()?.height();",
        new: "let oldest = self.store.list().ok()?.first()?.height();",
        caught_by: &[
            "--lib app::snapshots::tests::as_many_snapshots_are_kept_as_configured_and_no_block_from_the_oldest_on_is_left_out",
        ],
    },
    Mutant {
        name: "snapshots_made_while_catching_up",
        file: "src/app/snapshots.rs",
        old: "is_due(header.epoch, every) && is_new {",
        new: "is_due(header.epoch, every) {",
        caught_by: &[
            "--lib app::snapshots::tests::snapshots_are_made_after_new_blocks_that_end_epochs_which_are_due_and_one_at_a_time",
        ],
    },
    Mutant {
        name: "parts_larger_than_messages",
        file: "src/storage/snapshots.rs",
        old: "if !(HEAD_BYTES..=HEAD_BYTES + MESSAGE_BYTES_MAX).contains(&length) {",
        new: "if length < HEAD_BYTES {",
        caught_by: &[
            "--lib storage::snapshots::tests::a_part_may_be_as_large_as_a_message_and_a_larger_one_is_not_read",
        ],
    },
    Mutant {
        name: "block_that_was_never_executed_given",
        file: "src/storage/block_log.rs",
        old: "horizon => horizon.saturating_add(1),",
        new: "horizon => horizon,",
        caught_by: &[
            "--lib consensus::sync::forks::tests::peers_are_given_no_block_that_was_never_executed_here",
            "--lib storage::block_log::horizon_tests::the_block_that_a_log_begins_with_is_shown_only_if_it_is_the_chains_first",
        ],
    },
    Mutant {
        name: "left_out_while_read_taken_for_damage",
        file: "src/storage/block_log.rs",
        old: "            Err(_) if height < self.horizon() => Ok(None),\n",
        new: "",
        caught_by: &[
            "--lib storage::block_log::horizon_tests::a_block_that_is_left_out_while_it_is_read_is_not_there_and_no_damage",
        ],
    },
    Mutant {
        name: "filling_of_an_index_not_durable_first",
        file: "src/storage/index_snapshot.rs",
        old: "        store.sync()?;\n",
        new: "",
        caught_by: &[
            "--lib storage::index_snapshot::tests::that_an_index_is_being_filled_is_durable_before_anything_of_it_is_written",
        ],
    },
    Mutant {
        name: "places_forgotten_before_the_horizon",
        file: "src/storage/block_log.rs",
        old: "        kept.write(&self.disk, &self.dir, &self.chain_id)?;\n        self.positions.write().forget_before(kept.sequence);",
        new: "        self.positions.write().forget_before(kept.sequence);\n        kept.write(&self.disk, &self.dir, &self.chain_id)?;",
        caught_by: &[
            "--lib storage::block_log::horizon_tests::a_horizon_that_could_not_be_written_leaves_out_nothing",
        ],
    },
    Mutant {
        name: "pruned_files_left_at_open",
        file: "src/storage/block_log.rs",
        old: "                RetiredSegments::new(disk.clone(), dir.to_owned(), horizon.sequence).remove(&mut || true)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::block_log::horizon_tests::files_of_pruned_blocks_that_a_crash_left_are_gone_with_the_next_open",
        ],
    },
    Mutant {
        name: "outputs_of_a_snapshot_gather",
        file: "src/storage/index_snapshot.rs",
        old: "if self.addresses.len() >= ADDRESSES {",
        new: "if self.addresses.len() >= usize::MAX {",
        caught_by: &[
            "--lib storage::index_snapshot::tests::outputs_are_written_as_they_come_and_do_not_gather_in_memory",
        ],
    },
    Mutant {
        name: "second_asked_who_lacks_the_range",
        file: "src/consensus/sync/mod.rs",
        old: "let count = last.min(theirs).saturating_sub(next)",
        new: "let count = last.max(theirs.min(last)).saturating_sub(next)",
        caught_by: &[
            "--lib consensus::tests::strangers::who_has_a_part_of_a_range_alone_is_asked_for_that_part",
        ],
    },
    Mutant {
        name: "who_has_left_is_proven",
        file: "src/consensus/sync/mod.rs",
        old: "self.proven.extend(peers.is_connected(&from).then_some(from));",
        new: "self.proven.insert(from);",
        caught_by: &[
            "--lib consensus::tests::strangers::blocks_of_a_peer_that_has_left_prove_nothing_of_who_comes_back",
        ],
    },
    Mutant {
        name: "signatures_ahead_without_a_bound",
        file: "src/consensus/sync/ahead.rs",
        old: "        checks.truncate(HELD_MAX);\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::catching_up::no_more_signatures_of_an_answer_are_checked_ahead_than_are_held",
        ],
    },
    Mutant {
        name: "names_of_a_later_question_kept",
        file: "src/consensus/proof_builder.rs",
        old: "        names.truncate(wanted);\n",
        new: "        names.truncate(wanted.max(KNOWN_NAMES_MAX));\n",
        caught_by: &["--lib consensus::tests::proofs::a_set_that_was_there_before_is_proved_like_any_other"],
    },
    Mutant {
        name: "snapshots_of_blocks_outside_the_log_taken",
        file: "src/consensus/snapshot_load.rs",
        old: "        if !(horizon..=blocks.height()).contains(&dir.height()) {\n            continue;\n        }\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::snapshots::of_all_snapshots_the_newest_one_whose_block_is_in_the_log_is_taken",
        ],
    },
    Mutant {
        name: "half_a_snapshot_begun_with",
        file: "src/consensus/snapshot_load.rs",
        old: "    for place in 0..manifest.chunks.len() {\n        chunk(&dir, place)?;\n    }\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::snapshots::a_snapshot_that_is_not_whole_is_passed_over_for_an_older_one",
        ],
    },
    Mutant {
        name: "indexed_behind_a_gap_at_a_stop",
        file: "src/consensus/block_commit.rs",
        old: "BlockOrder::Index(_) if !indexes || !may_index() => indexes = false,",
        new: "BlockOrder::Index(_) if !may_index() => indexes = !indexes,",
        caught_by: &[
            "--lib consensus::tests::block_commit::once_a_stop_has_left_a_block_out_of_the_index_all_that_follow_are_left_out",
        ],
    },
    Mutant {
        name: "questions_for_parts_without_a_bound",
        file: "src/consensus/serve.rs",
        old: "Answer::SnapshotItem { .. } => SNAPSHOT_ANSWERS_MAX,",
        new: "Answer::SnapshotItem { .. } => usize::MAX,",
        caught_by: &[
            "--lib consensus::serve::tests::of_each_kind_of_question_so_many_wait_for_a_peer_and_no_more",
        ],
    },
    Mutant {
        name: "parts_of_snapshots_unpaid",
        file: "src/consensus/serve.rs",
        old: "(vec![Message::SnapshotItem { height, item, bytes }], length)",
        new: "(vec![Message::SnapshotItem { height, item, bytes }], length.min(0))",
        caught_by: &[
            "--lib consensus::serve::tests::parts_of_snapshots_are_paid_for_and_what_is_not_here_is_said_to_be_missing",
        ],
    },
    Mutant {
        name: "stopped_removals_left_at_open",
        file: "src/storage/segment_log.rs",
        old: "        remove_leftovers(&disk, dir)?;\n",
        new: "        if from == u64::MAX {\n            remove_leftovers(&disk, dir)?;\n        }\n",
        caught_by: &["--lib storage::journal::tests::what_a_stopped_removal_left_is_gone_with_the_next_open"],
    },
    Mutant {
        name: "unknown_rules_begun_with",
        file: "src/app/snapshots/fetch.rs",
        old: "if version > known { Err",
        new: "if version > known && epoch == 0 { Err",
        caught_by: &[
            "--lib app::snapshots::fetch::tests::a_chain_that_has_gone_on_to_unknown_rules_is_not_begun_with",
        ],
    },
    Mutant {
        name: "index_goes_on_behind_a_failed_log",
        file: "src/consensus/block_commit.rs",
        old: "                index.leave();\n",
        new: "                drop(index.finish_within(INDEX_STOP_LIMIT));\n",
        caught_by: &[
            "--lib consensus::tests::block_commit::a_log_that_failed_is_told_before_the_index_ends_which_takes_no_more_than_what_is_under_way",
        ],
    },
    Mutant {
        name: "what_is_larger_than_an_answer_never_sent",
        file: "src/consensus/serve.rs",
        old: "if !taken.is_empty() && bytes.saturating_add(size) > RESPONSE_BYTES_MAX {",
        new: "if bytes.saturating_add(size) > RESPONSE_BYTES_MAX {",
        caught_by: &["--lib consensus::serve::tests::what_is_larger_than_an_answer_is_sent_alone"],
    },
    Mutant {
        name: "cut_before_the_copys_name_is_durable",
        file: "src/storage/log_repair.rs",
        old: "        copy(disk, &path, &target)?;\n        disk.sync_dir(aside)?;\n",
        new: "        copy(disk, &path, &target)?;\n",
        caught_by: &[
            "--lib storage::log_check::tests::a_cut_that_is_interrupted_at_any_step_is_done_by_the_next_one",
        ],
    },
    Mutant {
        name: "foreign_header_not_compared",
        file: "src/protocol/evidence.rs",
        old: "known_at(header.height, state).is_some_and(|(epoch, set)| named != (epoch, set.hash()))",
        new: "known_at(header.height, state).is_some_and(|(epoch, _)| named != (epoch + 1, header.validators_hash))",
        caught_by: &[
            "--lib protocol::evidence::tests::who_precommits_a_block_that_was_not_decided_on_is_not_accused",
        ],
    },
    Mutant {
        name: "precommit_for_another_header_accuses",
        file: "src/protocol/evidence.rs",
        old: "place != (header.epoch, header.height, Some(header.hash()))",
        new: "place.2.is_none()",
        caught_by: &[
            "--lib protocol::evidence::tests::who_precommits_a_block_that_was_not_decided_on_is_not_accused",
        ],
    },
    Mutant {
        name: "forged_links_name_the_accused",
        file: "src/protocol/finality_proof/foreign.rs",
        old: "state.holder_of(&set.get(place)?.key)?;",
        new: "set.get(place).filter(|_| state.height() > 0).map(|member| (0, member.id))?;",
        caught_by: &[
            "--lib protocol::finality_proof::tests::forged::who_signs_a_forged_link_is_accused_by_the_chain_that_is_there",
        ],
    },
    Mutant {
        name: "searches_cost_nothing",
        file: "src/consensus/serve.rs",
        old: "state.queue.searched(peer, done.saturating_duration_since(began), done);",
        new: "state.queue.searched(peer, began.saturating_duration_since(done), done);",
        caught_by: &[
            "--lib consensus::serve::tests::the_thread_charges_who_asks_for_proofs_with_the_time_that_they_take",
        ],
    },
    Mutant {
        name: "searches_of_many_unbounded",
        file: "src/consensus/serve.rs",
        old: "            searches.left_us > 0\n",
        new: "            searches.left_us > i64::MIN\n",
        caught_by: &[
            "--lib consensus::serve::tests::searches_for_strangers_take_no_more_than_their_share_of_the_time",
        ],
    },
    Mutant {
        name: "proofs_kept_without_bound",
        file: "src/app/snapshots/source.rs",
        old: "while self.bytes > PROOFS_KEPT_BYTES_MAX {",
        new: "while self.bytes == usize::MAX {",
        caught_by: &[
            "--lib app::snapshots::source::tests::proofs_are_remembered_within_their_bytes_the_one_asked_for_last_the_longest",
        ],
    },
    Mutant {
        name: "later_blocks_backed_up_alone",
        file: "src/app/care/backup.rs",
        old: "            parts.extend(self.beginning(&store, first, &of_snapshots, told)?);\n",
        new: "            let _left_out = self.beginning(&store, first, &of_snapshots, told).is_ok();\n",
        caught_by: &[
            "--test care backup::blocks_that_begin_later_are_not_backed_up_without_a_whole_snapshot_of_one_of_them",
        ],
    },
    Mutant {
        name: "restored_snapshot_of_other_blocks",
        file: "src/app/care/restore.rs",
        old: "        if of_snapshot != Some(found) {",
        new: "        if of_snapshot.is_none() && found == manifest.block_hash {",
        caught_by: &["--test care backup::a_snapshot_in_a_backup_is_held_to_its_blocks"],
    },
    Mutant {
        name: "note_of_another_log_counts",
        file: "src/app/care/check_blocks.rs",
        old: "            && named != here\n",
        new: "            && named.hash != named.hash\n",
        caught_by: &[
            "--test care check::what_an_earlier_check_has_seen_hides_no_damage_and_counts_for_no_other_log",
        ],
    },
    Mutant {
        name: "abandoned_key_stays_taken",
        file: "src/protocol/masternodes/payloads.rs",
        old: "        announced.iter().for_each(|key| registry.release_key(key));\n",
        new: "        let _ = announced;\n",
        caught_by: &[
            "--lib protocol::masternodes::tests::payloads::the_last_announcement_counts_and_frees_the_one_before",
        ],
    },
    Mutant {
        name: "jail_begins_anew_with_evidence",
        file: "src/protocol/masternodes/membership.rs",
        old: "since: record.jail.map_or(end, |jail| jail.since())",
        new: "since: end",
        caught_by: &["--lib protocol::masternodes::tests::slashing::a_jail_sentence_does_not_start_anew"],
    },
    Mutant {
        name: "trials_by_weight_before_turns",
        file: "src/protocol/masternodes/membership.rs",
        old: "(!members.contains(id), record.left, Reverse(record.weight), record.registration)",
        new: "(!members.contains(id), Reverse(record.weight), record.left, record.registration)",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::turns_come_before_weight_among_those_who_wait_for_a_trial",
        ],
    },
    Mutant {
        name: "two_proofs_of_one_block_are_no_contradiction",
        file: "src/protocol/evidence.rs",
        old: "let said = |head: &ProposalHead| (head.block_hash, head.pol_round);",
        new: "let said = |head: &ProposalHead| head.block_hash;",
        caught_by: &["--lib protocol::evidence::tests::each_kind_of_contradiction_holds"],
    },
    Mutant {
        name: "copy_that_a_third_voted_for_not_asked_for_again",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "                        || entry.is_final\n                        || self.set.exceeds_third(entry.lock_votes.weight());\n",
        new: "                        || entry.is_final;\n",
        caught_by: &[
            "--lib protocol::finality::tests::hostile::when_the_copy_that_was_kept_turns_out_bad_another_is_asked_for_if_votes_name_it",
        ],
    },
    Mutant {
        name: "bodies_behind_a_precommit_not_written",
        file: "src/consensus/blocks/mod.rs",
        old: "            records.extend(finality.body_records(transactions));\n",
        new: "            let _ = transactions;\n",
        caught_by: &[
            "--lib consensus::tests::closing::the_bodies_of_a_block_are_durable_before_the_precommit_for_it",
        ],
    },
    Mutant {
        name: "failed_peer_still_proven",
        file: "src/consensus/sync/mod.rs",
        old: "        self.proven.remove(&peer);\n        let failing = self.failing.entry",
        new: "        let failing = self.failing.entry",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::who_failed_once_has_to_deliver_again_before_its_height_is_believed",
        ],
    },
    Mutant {
        name: "answers_to_all_without_a_bound",
        file: "src/consensus/serve.rs",
        old: "Recipient::All if self.shared.len() < SHARED_ANSWERS_MAX =>",
        new: "Recipient::All if self.shared.len() < SHARED_ANSWERS_MAX << 20 =>",
        caught_by: &["--lib consensus::serve::tests::no_more_answers_wait_for_everybody_than_may"],
    },
    Mutant {
        name: "candidates_outlive_their_height",
        file: "src/consensus/blocks/mod.rs",
        old: "            self.past.start_epoch(height);\n        }\n        self.candidates.clear();\n",
        new: "            self.past.start_epoch(height);\n        }\n",
        caught_by: &[
            "--lib consensus::tests::pulled::what_a_proposal_lacked_is_not_asked_for_when_its_height_is_over",
        ],
    },
    Mutant {
        name: "chunk_not_held_to_its_manifest",
        file: "src/consensus/snapshot_load.rs",
        old: "    manifest.check_chunk(place, &outputs).map_err(|error| broken(dir, error))?;\n",
        new: "",
        caught_by: &[
            "--lib consensus::tests::snapshots::a_snapshot_of_another_block_or_a_changed_one_builds_no_index",
        ],
    },
    Mutant {
        name: "tail_synced_only_when_cut",
        file: "src/storage/segment_log.rs",
        old: "        file.truncate(end)?;\n    }\n    file.sync_data()\n",
        new: "        file.truncate(end)?;\n        file.sync_data()?;\n    }\n    Ok(())\n",
        caught_by: &[
            "--lib storage::block_log::tests::what_an_open_serves_is_durable_even_if_the_killed_process_never_synced_it",
        ],
    },
    Mutant {
        name: "failed_rotation_forgotten",
        file: "src/storage/segment_log.rs",
        old: "        self.poisoned = true;\n        let sequence = self.active_sequence + 1;\n",
        new: "        let sequence = self.active_sequence + 1;\n",
        caught_by: &["--lib storage::journal::tests::released_records_survive_a_crash_at_every_operation"],
    },
    Mutant {
        name: "file_before_a_half_made_one_may_be_torn",
        file: "src/storage/segment_log.rs",
        old: "let sealed = !is_last || incomplete.is_some();",
        new: "let sealed = !is_last;",
        caught_by: &[
            "--lib storage::log_check::tests::an_incomplete_end_is_told_and_is_no_problem_unless_something_follows",
        ],
    },
    Mutant {
        name: "any_number_of_files_kept_open",
        file: "src/storage/segment_log.rs",
        old: "if handles.len() >= READER_HANDLES_MAX {",
        new: "if handles.len() >= READER_HANDLES_MAX << 20 {",
        caught_by: &["--lib storage::segment_log::tests::readers_keep_so_many_files_open_and_read_all"],
    },
    Mutant {
        name: "parts_go_before_their_manifest_is_gone",
        file: "src/storage/snapshots.rs",
        old: "            self.disk.remove(&manifest)?;\n            self.disk.sync_dir(&self.dir)?;\n",
        new: "            self.disk.remove(&manifest)?;\n",
        caught_by: &["--lib storage::snapshots::tests::a_crash_at_any_step_leaves_a_whole_snapshot_or_none"],
    },
    Mutant {
        name: "child_sent_on_is_not_announced",
        file: "src/admission/taking.rs",
        old: "        self.announcements.pushed(child.txid(), now.steady_ms);\n",
        new: "",
        caught_by: &[
            "--lib admission::tests::what_lacks_votes_is_announced_by_its_entry_node_until_it_is_certified",
        ],
    },
    Mutant {
        name: "who_begins_to_wait_looks_no_more",
        file: "src/admission/taking.rs",
        old: "        self.look_at_parents(parents, state, now, out);\n    }\n\n    // -- those who wait",
        new: "        let _ = (parents, state);\n    }\n\n    // -- those who wait",
        caught_by: &[
            "--lib admission::tests::coins::a_childs_parent_that_is_final_or_gone_before_the_child_waits_is_noticed",
        ],
    },
    Mutant {
        name: "contested_outputs_without_a_bound",
        file: "src/admission/contests.rs",
        old: "let room = self.by_output.len() < CONTESTED_OUTPUTS_MAX;",
        new: "let room = self.by_output.len() < CONTESTED_OUTPUTS_MAX << 20;",
        caught_by: &["--lib admission::contests::tests::only_few_improvements_of_an_output_pass_in_an_epoch"],
    },
    Mutant {
        name: "idle_while_peers_wait",
        file: "src/admission/thread.rs",
        old: "announced && self.wanted.is_empty() && self.users.is_empty() && self.peers.is_empty()",
        new: "announced && self.wanted.is_empty() && self.users.is_empty()",
        caught_by: &["--lib admission::thread::tests::nobody_rests_while_something_waits_in_any_lane"],
    },
    Mutant {
        name: "greatest_fee_of_a_child_ignored",
        file: "src/admission/checks.rs",
        old: "Self::Known { fee, .. } | Self::ChildOf { fee, .. } => Some(*fee),\n            Self::Unknown(_) => None,",
        new: "Self::Known { fee, .. } => Some(*fee),\n            Self::ChildOf { .. } | Self::Unknown(_) => None,",
        caught_by: &[
            "--lib admission::tests::coins::a_fee_above_the_bound_of_who_sends_it_is_refused_and_holds_no_coin",
        ],
    },
    Mutant {
        name: "who_has_a_snapshot_no_more_is_blamed",
        file: "src/app/snapshots/fetch.rs",
        old: "if bytes.is_empty() {\n                                let _lacks_it = plan.bad(chunk);\n                            } else if bytes.len()",
        new: "if bytes.len()",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::a_snapshot_that_has_gone_everywhere_is_left_for_a_newer_one_and_nobody_is_blamed",
        ],
    },
    Mutant {
        name: "newer_snapshots_not_asked_for",
        file: "src/app/snapshots/fetch.rs",
        old: "                    self.hear_newer(&candidate).await;\n",
        new: "",
        caught_by: &[
            "--lib app::snapshots::fetch::peer_tests::a_snapshot_that_has_gone_everywhere_is_left_for_a_newer_one_and_nobody_is_blamed",
        ],
    },
    Mutant {
        name: "room_of_a_write_given_back_before_it",
        file: "src/consensus/vote_journal.rs",
        old: "                    let durable = writer.commit(group)?;\n                    drop(taken.drain(..count));\n",
        new: "                    drop(taken.drain(..count));\n                    let durable = writer.commit(group)?;\n",
        caught_by: &[
            "--lib consensus::vote_journal::tests::what_is_being_written_takes_its_room_until_it_is_on_disk",
        ],
    },
    Mutant {
        name: "visitor_stays_by_coming_again",
        file: "src/network/connection_manager.rs",
        old: "is_visit: newcomer.inbound && old.visits()",
        new: "is_visit: newcomer.inbound && old.visits() && self.inbound_max == 0",
        caught_by: &[
            "--lib network::connection_manager::tests::a_visitor_gets_no_place_by_coming_again_nor_by_what_leaves_meanwhile",
        ],
    },
    Mutant {
        name: "visitor_makes_room_as_if_it_had_a_place",
        file: "src/network/connection_manager.rs",
        old: "!one.is_registered() && !one.visits()",
        new: "!one.is_registered()",
        caught_by: &[
            "--lib network::connection_manager::tests::a_visitor_gets_no_place_by_coming_again_nor_by_what_leaves_meanwhile",
        ],
    },
    Mutant {
        name: "taken_back_though_the_chain_names_it",
        file: "src/network/address_book.rs",
        old: "        if entry.in_chain {\n",
        new: "        if entry.in_chain && address.is_empty() {\n",
        caught_by: &[
            "--lib network::address_book::tests::what_the_chain_names_stays_when_the_operator_takes_it_back",
        ],
    },
    Mutant {
        name: "members_need_a_free_outbound_place",
        file: "src/network/connection_manager.rs",
        old: "let comes_beside = self.meets_members && newcomer.standing == Standing::Member;",
        new: "let comes_beside = false && newcomer.standing == Standing::Member;",
        caught_by: &[
            "--lib network::connection_manager::tests::members_that_a_masternode_dials_come_beside_its_outbound_places",
        ],
    },
    Mutant {
        name: "signatures_of_the_tips_epoch_alone_ahead",
        file: "src/consensus/sync/ahead.rs",
        old: "(header.validators_hash == hash).then_some(header.epoch)",
        new: "(header.validators_hash == hash && header.epoch == 0).then_some(header.epoch)",
        caught_by: &[
            "--lib consensus::tests::catching_up::the_blocks_of_later_epochs_are_checked_ahead_while_their_headers_name_the_same_set",
        ],
    },
    Mutant {
        name: "ready_before_a_peer_has_shown_its_lead",
        file: "src/consensus/sync/mod.rs",
        old: "self.knows_target = nobody_is_further || !self.proven.is_empty() || is_over;",
        new: "self.knows_target = nobody_is_further || self.proven.is_empty() || is_over;",
        caught_by: &[
            "--lib consensus::tests::catching_up::whether_peers_are_further_is_known_once_they_showed_it_or_failed_to",
        ],
    },
    Mutant {
        name: "addresses_of_a_snapshot_in_any_order",
        file: "src/storage/index_snapshot.rs",
        old: "addresses.sort_unstable_by(|one, other| one.key().cmp(other.key()));",
        new: "addresses.reverse();",
        caught_by: &[
            "--lib storage::index_snapshot::tests::records_and_addresses_come_to_the_store_each_in_the_order_of_their_keys",
        ],
    },
    Mutant {
        name: "demand_counts_a_voter_twice",
        file: "src/protocol/bft/votes.rs",
        old: "votes.prevotes.weight_of(value).max(votes.precommits.weight_of(value))",
        new: "votes.prevotes.weight_of(value).saturating_add(votes.precommits.weight_of(value))",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::whoever_votes_for_a_block_in_both_steps_demands_it_with_its_weight_once",
        ],
    },
    Mutant {
        name: "decided_height_keeps_all_votes",
        file: "src/protocol/bft/machine/log.rs",
        old: "            && (vote.step, vote.round) != (VoteStep::Precommit, round)\n",
        new: "            && vote.height > self.context.height + u64::from(round)\n",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::of_a_decided_height_only_votes_that_complete_the_commit_are_kept",
        ],
    },
    Mutant {
        name: "settled_lock_is_lost_in_a_restart",
        file: "src/protocol/finality/machine/signer.rs",
        old: "if vote.kind == VoteKind::Lock {\n                for",
        new: "if vote.kind == VoteKind::Lock && !settled {\n                for",
        caught_by: &["--lib protocol::finality::tests::a_restart_keeps_the_locks_of_what_a_block_has_taken"],
    },
    Mutant {
        name: "trial_for_one_without_a_seat",
        file: "src/protocol/masternodes/membership.rs",
        old: "candidates.iter().take(seats).filter(|(_, record)| record.on_trial)",
        new: "candidates.iter().filter(|(_, record)| record.on_trial)",
        caught_by: &[
            "--lib protocol::masternodes::tests::growth::whoever_is_too_light_for_a_seat_takes_no_trial_from_one_that_is_not",
        ],
    },
    Mutant {
        name: "locks_wait_twice_after_a_hold",
        file: "src/protocol/finality/machine/signer.rs",
        old: "        self.throttled.clear();\n",
        new: "",
        caught_by: &[
            "--lib protocol::finality::machine::signer::tests::a_lock_waits_for_blocks_once_however_often_votes_are_held",
        ],
    },
    Mutant {
        name: "replay_marks_only_at_its_end",
        file: "src/consensus/replay.rs",
        old: "height % MARK_EVERY == 0 || height == tip",
        new: "height == tip",
        caught_by: &["--lib consensus::tests::readers::a_long_replay_is_marked_on_its_way"],
    },
    Mutant {
        name: "committing_blocks_of_any_size",
        file: "src/consensus/blocks/committing.rs",
        old: "self.blocks.len() < COMMITTING_BLOCKS_MAX && self.bytes < COMMITTING_BYTES_MAX",
        new: "self.blocks.len() < COMMITTING_BLOCKS_MAX",
        caught_by: &[
            "--lib consensus::blocks::committing::tests::no_block_follows_while_the_payments_on_their_way_are_many",
        ],
    },
    Mutant {
        name: "numbers_of_later_epochs_forgotten",
        file: "src/consensus/finality/mod.rs",
        old: "self.next_seq = self.next_seq.split_off(&epoch);",
        new: "self.next_seq.clear();",
        caught_by: &[
            "--lib consensus::tests::restored::the_numbers_of_its_batches_go_on_in_an_epoch_that_comes_back",
        ],
    },
    Mutant {
        name: "interval_grows_without_end",
        file: "src/consensus/finality/batching.rs",
        old: "growth.saturating_add(1).min(INTERVAL_GROWTH_MAX)",
        new: "growth.saturating_add(1)",
        caught_by: &["--lib consensus::tests::batches::the_interval_grows_four_times_and_no_further"],
    },
    Mutant {
        name: "more_certificates_asked_for_than_fit",
        file: "src/consensus/finality/mod.rs",
        old: "let each = members.max(1).saturating_mul",
        new: "let each = members.min(1).saturating_mul",
        caught_by: &[
            "--lib consensus::peers::pulls::tests::all_certificates_of_a_question_fit_into_its_answer",
        ],
    },
    Mutant {
        name: "horizon_appended_to_what_was_left",
        file: "src/storage/horizon.rs",
        old: "        file.truncate(0)?;\n",
        new: "",
        caught_by: &[
            "--lib storage::block_log::horizon_tests::a_horizon_that_is_written_at_the_second_attempt_is_read_at_the_next_start",
        ],
    },
    Mutant {
        name: "pages_looked_up_in_the_store_first",
        file: "src/storage/index_window.rs",
        old: "            let pending: Vec<(Vec<u8>, Option<Vec<u8>>)> = {\n                let changes = self.changes.read();\n                let of_tree = changes.get(&tree).into_iter();\n                let found = of_tree.flat_map(|changes| changes.range::<[u8], _>((start, Bound::Unbounded)));\n                let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(step);\n                found.map(|(key, pending)| (key.clone(), pending.value().cloned())).collect()\n            };\n            let stored = self.store.scan_prefix(tree, prefix, after.as_deref(), step)?;\n",
        new: "            let stored = self.store.scan_prefix(tree, prefix, after.as_deref(), step)?;\n            let pending: Vec<(Vec<u8>, Option<Vec<u8>>)> = {\n                let changes = self.changes.read();\n                let of_tree = changes.get(&tree).into_iter();\n                let found = of_tree.flat_map(|changes| changes.range::<[u8], _>((start, Bound::Unbounded)));\n                let found = found.take_while(|(key, _)| key.starts_with(prefix)).take(step);\n                found.map(|(key, pending)| (key.clone(), pending.value().cloned())).collect()\n            };\n",
        caught_by: &[
            "--lib storage::index_window::tests::what_moves_into_the_store_while_a_page_is_read_is_on_the_page",
        ],
    },
    Mutant {
        name: "segments_of_another_journal",
        file: "src/storage/segment_log.rs",
        old: "Some(found) if *origin.get_or_insert(found) == found => {}",
        new: "Some(found) if *origin.get_or_insert(found) == found || place > 0 => {}",
        caught_by: &["--lib storage::journal::tests::a_segment_of_another_journal_of_the_same_key_is_damage"],
    },
    Mutant {
        name: "heads_only_of_the_first_page",
        file: "src/storage/index_epochs.rs",
        old: "if page.len() < PAGE_ENTRIES {",
        new: "if page.len() <= PAGE_ENTRIES {",
        caught_by: &[
            "--lib storage::index_epochs::tests::the_heads_of_any_number_of_epochs_are_named_once_each",
        ],
    },
    Mutant {
        name: "import_in_one_piece",
        file: "src/storage/journal_import.rs",
        old: "self.pending_bytes = self.pending_bytes.saturating_add(encode(&record).len());",
        new: "self.pending_bytes = encode(&record).len();",
        caught_by: &[
            "--lib storage::journal_import::tests::no_more_than_a_part_of_the_records_is_in_memory_at_a_time",
        ],
    },
    Mutant {
        name: "child_of_a_held_coin_waits",
        file: "src/admission/checks.rs",
        old: "        if let Some(conflict) = self.parts.utxos.conflict_of(shape.inputs(), shape.txid()) {\n            return Err(conflict.into());\n        }\n",
        new: "",
        caught_by: &[
            "--lib admission::tests::coins::no_users_child_waits_that_spends_a_held_coin_beside_its_parents_output",
        ],
    },
    Mutant {
        name: "orphan_forgets_it_was_asked_for",
        file: "src/admission/checks.rs",
        old: "let is_requested = self.parts.requested.contains(&orphan.transaction.txid());",
        new: "let is_requested = false;",
        caught_by: &[
            "--lib admission::tests::coins::an_orphan_that_was_asked_for_meanwhile_passes_whatever_the_pool_says",
        ],
    },
    Mutant {
        name: "stranger_makes_a_thousand_reads",
        file: "src/admission/checks.rs",
        old: "if origin.peer().is_some() && !origin.is_requested && !may_wait {",
        new: "if origin.peer().is_some() && !origin.is_requested && !may_wait && missing.len() > 900 {",
        caught_by: &[
            "--lib admission::tests::coins::a_strangers_many_inputs_that_nobody_knows_cost_few_reads",
        ],
    },
    Mutant {
        name: "user_sends_again_in_vain",
        file: "src/admission/checks.rs",
        old: "                    out.push(Action::Consider(pooled));\n                }\n                answer",
        new: "                    let _ = pooled;\n                }\n                answer",
        caught_by: &[
            "--lib admission::tests::coins::what_a_user_sends_again_is_handed_to_the_machine_again_unless_it_waits",
        ],
    },
    Mutant {
        name: "holder_stays_pending_in_the_pool",
        file: "src/admission/mirror.rs",
        old: "        self.pool.mark_conflicting(locked_to);\n",
        new: "        let _ = locked_to;\n",
        caught_by: &[
            "--lib admission::tests::coins::whoever_holds_a_contested_coin_makes_room_like_its_rival",
        ],
    },
    Mutant {
        name: "orphan_kept_without_a_second_look",
        file: "src/admission/checks.rs",
        old: "if missing.iter().all(|outpoint| self.parts.utxos.find_output(outpoint).is_some()) {",
        new: "if missing.is_empty() {",
        caught_by: &[
            "--lib admission::tests::coins::an_orphans_parent_that_is_final_before_the_orphan_is_kept_is_noticed",
        ],
    },
    Mutant {
        name: "known_block_proposed_without_a_bound",
        file: "src/protocol/bft/machine/log.rs",
        old: "if is_surplus && (self.blocks.contains_key(&hash) || !self.is_needed(&hash)) {",
        new: "if is_surplus && !self.is_needed(&hash) {",
        caught_by: &[
            "--lib protocol::bft::tests::bounds::a_block_that_votes_demand_is_kept_no_more_often_than_any_other",
        ],
    },
    Mutant {
        name: "block_proved_by_a_round_before_its_own",
        file: "src/protocol/bft/machine/log.rs",
        old: "Some(pol_round) => header_round <= pol_round,",
        new: "Some(_) => header_round < round,",
        caught_by: &["--lib protocol::bft::tests::bounds::no_block_is_proved_by_a_round_before_its_own"],
    },
    Mutant {
        name: "copies_of_a_parent_name_no_owner",
        file: "src/protocol/finality/machine/bodies.rs",
        old: "Body::Resident(maker) | Body::Unchecked(maker) => Some(maker),\n            Body::Missing | Body::Spilled => None,",
        new: "Body::Resident(maker) => Some(maker),\n            Body::Unchecked(_) | Body::Missing | Body::Spilled => None,",
        caught_by: &[
            "--lib protocol::finality::tests::waiting::a_copy_is_held_to_the_owner_whom_a_parent_names_that_is_no_body_yet",
        ],
    },
    Mutant {
        name: "answer_of_somebody_else_taken",
        file: "src/consensus/sync/mod.rs",
        old: ".position(|range| range.peer == from && range.from == first);",
        new: ".position(|range| range.from == first);",
        caught_by: &["--lib consensus::tests::answers::blocks_are_taken_of_whom_they_were_asked_alone"],
    },
    Mutant {
        name: "unasked_block_moves_the_search",
        file: "src/consensus/sync/forks.rs",
        old: "if search.asked != height || search.has_failed() {",
        new: "if (search.asked != height && height == 0) || search.has_failed() {",
        caught_by: &[
            "--lib consensus::tests::forks::a_block_of_another_chain_that_was_not_asked_for_is_not_looked_at",
        ],
    },
    Mutant {
        name: "first_place_of_a_body_remembered",
        file: "src/storage/journal_reader.rs",
        old: "self.0.write().insert(transaction.txid(), place);",
        new: "self.0.write().entry(transaction.txid()).or_insert(place);",
        caught_by: &[
            "--lib storage::journal::tests::a_body_that_was_written_again_outlives_the_segment_that_had_it_first",
        ],
    },
    Mutant {
        name: "mark_told_before_it_is_there",
        file: "src/storage/index_writer.rs",
        old: "        self.index.set_mark(height, block_hash, &state)?;\n        (self.pending_blocks, self.pending_entries) = (0, 0);\n        self.shared.queue.lock().marked = Some(height);\n        report(IndexEvent::Marked(height));\n",
        new: "        report(IndexEvent::Marked(height));\n        self.index.set_mark(height, block_hash, &state)?;\n        (self.pending_blocks, self.pending_entries) = (0, 0);\n        self.shared.queue.lock().marked = Some(height);\n",
        caught_by: &["--lib storage::index::tests::a_failure_is_reported_once_and_turns_submitters_away"],
    },
    Mutant {
        name: "headerless_journal_found_whole",
        file: "src/storage/log_check.rs",
        old: "None if is_last && (sequence == 1 || found.len() > 1) => Ok(0),",
        new: "None if is_last => Ok(0),",
        caught_by: &[
            "--lib storage::log_check::tests::check_and_open_agree_on_a_file_without_a_whole_header_whatever_stands_before_it",
        ],
    },
    Mutant {
        name: "manifest_before_the_names_of_the_parts",
        file: "src/storage/snapshots.rs",
        old: "        self.disk.sync_dir(&self.dir)?;\n        self.write(SnapshotPart::Manifest, manifest)?;",
        new: "        self.write(SnapshotPart::Manifest, manifest)?;",
        caught_by: &[
            "--lib storage::snapshots::tests::the_names_of_all_parts_are_durable_before_the_manifest_has_its_own",
        ],
    },
    Mutant {
        name: "rivals_that_were_asked_for_take_a_place",
        file: "src/admission/taking.rs",
        old: "let is_free = self.parts.utxos.lock(&transaction).is_ok();",
        new: "let is_free = self.parts.utxos.lock(&transaction).is_ok() || origin.is_requested;",
        caught_by: &["--lib admission::tests::coins::a_rival_that_was_asked_for_takes_no_place_of_the_pool"],
    },
    Mutant {
        name: "late_ones_of_long_ago_close_the_door",
        file: "src/admission/load.rs",
        old: "(self.last_final_ms, self.stale) = (now_ms, 0);",
        new: "self.last_final_ms = now_ms;",
        caught_by: &[
            "--lib admission::load::tests::what_was_not_final_in_time_counts_no_more_once_something_was",
        ],
    },
    Mutant {
        name: "forged_rivals_use_up_the_turns",
        file: "src/admission/checks.rs",
        old: "                    refuse(origin, refusal, out);\n                    return None;\n                }\n            }\n            Inputs::Known { .. } |",
        new: "                    refuse(origin, refusal, out);\n                    return None;\n                }\n                self.contests.pass(&shape.txid(), contested);\n            }\n            Inputs::Known { .. } |",
        caught_by: &["--lib admission::tests::coins::forged_rivals_leave_a_signed_one_its_turn"],
    },
    Mutant {
        name: "who_speaks_is_asked_for_batches",
        file: "src/consensus/peers/batch_requests.rs",
        old: "offers.min_by_key(|(peer, _)| self.waits_since(peer, member))",
        new: "offers.min_by_key(|(peer, _)| (*peer != of, self.waits_since(peer, member)))",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::peers_that_claim_batches_without_end_keep_no_other_one_from_being_asked",
        ],
    },
    Mutant {
        name: "silent_peer_keeps_batches_from_others",
        file: "src/consensus/peers/batch_requests.rs",
        old: "self.heard_ms(&turn.peer, question).saturating_add(HAND_ON_MS)",
        new: "self.heard_ms(&turn.peer, question).saturating_add(REQUEST_TIMEOUT_MS)",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent",
        ],
    },
    Mutant {
        name: "silent_peer_is_not_passed_over",
        file: "src/consensus/peers/batch_requests.rs",
        old: "manners.again_ms = now_ms.saturating_add(doubled_ms.min(PASS_OVER_MAX_MS));",
        new: "manners.again_ms = now_ms;",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent",
        ],
    },
    Mutant {
        name: "oldest_unfinished_asked_for_again",
        file: "src/consensus/peers/pulls.rs",
        old: "self.next = next.unwrap_or(0);",
        new: "self.next = next.map_or(0, |_| 0);",
        caught_by: &[
            "--lib consensus::tests::pulled::certificates_of_all_that_is_not_final_are_asked_for_in_turns",
        ],
    },
    Mutant {
        name: "slashed_members_contradictions_proved",
        file: "src/consensus/evidence.rs",
        old: "if is_slashed || self.valid.contains_key(&accused) {\n            return;\n        }\n        let looks",
        new: "if self.valid.contains_key(&accused) {\n            return;\n        }\n        let looks",
        caught_by: &["--lib consensus::tests::evidence::contradictions_of_one_member_are_proved_once"],
    },
    Mutant {
        name: "oldest_instance_acknowledged",
        file: "src/consensus/instances.rs",
        old: "may.max_by_key(|known| known.first_heard_ms)",
        new: "may.min_by_key(|known| known.first_heard_ms)",
        caught_by: &[
            "--lib consensus::instances::tests::members_with_many_instances_leave_a_place_for_each_other_one",
        ],
    },
    Mutant {
        name: "full_store_asks_for_nothing",
        file: "src/consensus/sync/mod.rs",
        old: "if from != first && (firsts >= RANGES_MAX || !has_room) {",
        new: "if firsts >= RANGES_MAX || !has_room {",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::what_everything_waits_for_is_asked_for_and_taken_though_the_store_is_full",
        ],
    },
    Mutant {
        name: "leavers_blocks_keep_their_room",
        file: "src/consensus/sync/mod.rs",
        old: "if !self.proven.remove(peer) {",
        new: "if self.proven.remove(peer) {",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::blocks_of_a_peer_that_never_delivered_go_with_it",
        ],
    },
    Mutant {
        name: "newcomers_are_asked_for_blocks_first",
        file: "src/consensus/sync/mod.rs",
        old: "(!self.proven.contains(peer), self.busy(peer), turn)",
        new: "(!self.proven.contains(peer), self.busy(peer), u64::MAX - turn)",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::silent_peers_that_hold_all_ranges_cost_a_moment_and_newcomers_come_last",
        ],
    },
    Mutant {
        name: "votes_of_a_round_pushed_at_each_word",
        file: "src/consensus/blocks/rounds.rs",
        old: "now_ms < pushed.votes_ms.saturating_add(VOTES_GAP_MS)",
        new: "now_ms < pushed.votes_ms",
        caught_by: &[
            "--lib consensus::tests::answers::a_peer_that_says_again_and_again_that_it_lacks_the_round_is_sent_it_once_in_a_while",
        ],
    },
    Mutant {
        name: "proposal_pushed_with_the_votes",
        file: "src/consensus/blocks/rounds.rs",
        old: "now_ms >= sent.saturating_add(PROPOSAL_GAP_MS)",
        new: "now_ms >= sent",
        caught_by: &[
            "--lib consensus::tests::answers::a_peer_that_says_again_and_again_that_it_lacks_the_round_is_sent_it_once_in_a_while",
        ],
    },
    Mutant {
        name: "all_ready_orphans_looked_at_at_once",
        file: "src/admission/checks.rs",
        old: "self.orphans.take_ready(READY_PER_LOOK_MAX)",
        new: "self.orphans.take_ready(usize::MAX)",
        caught_by: &["--lib admission::tests::coins::orphans_of_one_output_are_looked_at_some_at_a_time"],
    },
    Mutant {
        name: "strangers_answered_like_members",
        file: "src/consensus/serve.rs",
        old: "                of_peer.standing = standing;\n                if is_first {\n                    self.line_up(peer, standing);",
        new: "                of_peer.standing = Standing::Member;\n                if is_first {\n                    self.line_up(peer, Standing::Member);",
        caught_by: &[
            "--lib consensus::serve::tests::strangers_have_one_turn_together_and_each_member_has_its_own",
        ],
    },
    Mutant {
        name: "key_that_can_not_be_read_holds",
        file: "src/cli/named_files.rs",
        old: "add(\"masternode.operator_key\", error.to_string());",
        new: "drop(error);",
        caught_by: &["--lib cli::named_files::tests::what_a_node_would_end_for_is_said_with_its_key"],
    },
    Mutant {
        name: "copies_use_up_the_pace_of_missing_votes",
        file: "src/consensus/vote_pace.rs",
        old: "Kind::Again => &mut self.again,",
        new: "Kind::Again => &mut self.behind,",
        caught_by: &[
            "--lib consensus::vote_pace::tests::copies_of_old_batches_leave_room_for_those_that_are_missing",
        ],
    },
    Mutant {
        name: "slow_peer_taken_for_silent",
        file: "src/consensus/peers/batch_requests.rs",
        old: "manners.heard_ms = now_ms;",
        new: "",
        caught_by: &["--lib consensus::tests::pulled_batches::who_is_slow_is_not_taken_for_silent"],
    },
    Mutant {
        name: "first_contradiction_hides_others",
        file: "src/consensus/evidence.rs",
        old: "const LOOKS_MAX: usize = 16;",
        new: "const LOOKS_MAX: usize = 1;",
        caught_by: &[
            "--lib consensus::tests::evidence::a_contradiction_that_can_not_be_proved_hides_none_that_can",
        ],
    },
    Mutant {
        name: "later_blocks_keep_earlier_ones_out",
        file: "src/consensus/sync/mod.rs",
        old: "if is_new {\n                self.make_room(height, bytes);\n            }",
        new: "",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::what_everything_waits_for_is_asked_for_and_taken_though_the_store_is_full",
        ],
    },
    Mutant {
        name: "ready_orphans_leave_their_share",
        file: "src/admission/orphans.rs",
        old: "        let orphan = self.take_out(id);\n",
        new: "        let orphan = self.take_out(id);\n        orphan.iter().for_each(|orphan| self.release(orphan));\n",
        caught_by: &[
            "--lib admission::tests::stores::what_is_ready_counts_in_its_senders_share_until_it_is_taken",
        ],
    },
    Mutant {
        name: "turns_over_all_members",
        file: "src/consensus/peers/batch_requests.rs",
        old: "asked.or_else(|| Some(self.peers.get(peer)?.came))",
        new: "asked.and_then(|_| self.about.range((*peer, 0)..=(*peer, usize::MAX)).filter_map(|(_, about)| about.asked).max()).or_else(|| Some(self.peers.get(peer)?.came))",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them",
        ],
    },
    Mutant {
        name: "empty_answers_keep_the_turn",
        file: "src/consensus/peers/batch_requests.rs",
        old: "is_in_time && (question.has_given || !turn.had_nothing)",
        new: "is_in_time",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them",
        ],
    },
    Mutant {
        name: "turn_without_end",
        file: "src/consensus/peers/batch_requests.rs",
        old: "                && now_ms < turn.began_ms.saturating_add(TURN_MAX_MS)\n        })",
        new: "        })",
        caught_by: &[
            "--lib consensus::tests::pulled_batches::who_gives_little_by_little_has_its_turn_and_no_more",
        ],
    },
    Mutant {
        name: "empty_words_waited_for",
        file: "src/consensus/peers/mod.rs",
        old: "held.until <= end || self.batches.is_empty_word(peer, member, end, now_ms)",
        new: "held.until <= end",
        caught_by: &["--lib consensus::tests::pulled_batches::a_word_that_was_found_empty_is_not_waited_for"],
    },
    Mutant {
        name: "late_answer_of_a_silent_peer_unheard",
        file: "src/consensus/peers/batch_requests.rs",
        old: "(manners.silences, manners.again_ms) = (0, 0);",
        new: "manners.silences = 0;",
        caught_by: &["--lib consensus::tests::pulled_batches::who_is_slow_is_not_taken_for_silent"],
    },
    Mutant {
        name: "strangers_line_without_a_turn",
        file: "src/consensus/serve.rs",
        old: "        if waits {\n            self.line_up(peer, standing);",
        new: "        if waits && standing == Standing::Stranger {\n            self.strangers.push_back(peer);\n        } else if waits {\n            self.line_up(peer, standing);",
        caught_by: &[
            "--lib consensus::serve::tests::a_member_that_becomes_a_stranger_while_it_waits_holds_up_nobody",
        ],
    },
    Mutant {
        name: "all_members_looked_at_with_each_event",
        file: "src/consensus/instances.rs",
        old: "known.asks && !known.is_contested && window_end_ms(known) > now_ms",
        new: "known.asks && !known.is_contested",
        caught_by: &[
            "--lib consensus::instances::tests::members_with_many_instances_leave_a_place_for_each_other_one",
        ],
    },
    Mutant {
        name: "promises_sent_whatever_ends",
        file: "src/consensus/blocks/candidates.rs",
        old: "blueprint.header.epoch_end && is_closing;",
        new: "blueprint.header.epoch_end;",
        caught_by: &[
            "--lib consensus::tests::the_end_of_an_epoch_that_is_not_closing_brings_nobodys_promises",
        ],
    },
    Mutant {
        name: "promises_sent_with_each_block",
        file: "src/consensus/blocks/candidates.rs",
        old: ".filter(|txid| self.sent.insert(**txid))",
        new: ".filter(|_| true)",
        caught_by: &["--lib consensus::tests::promises_that_were_left_out_are_sent_once_each_and_in_parts"],
    },
    Mutant {
        name: "who_has_most_is_asked_alone",
        file: "src/consensus/sync/mod.rs",
        old: "able.min_by_key(|(peer, _)| self.order(peer)).copied()",
        new: "able.max_by_key(|(_, theirs)| *theirs).copied()",
        caught_by: &[
            "--lib consensus::tests::pulled_blocks::a_height_that_one_peer_claims_leaves_the_others_their_turns",
        ],
    },
    Mutant {
        name: "rivals_of_one_message_all_passed_on",
        file: "src/admission/taking.rs",
        old: "if !self.contests.improves(&transaction.txid(), &contested) =>",
        new: "if false =>",
        caught_by: &[
            "--lib admission::tests::few_of_many_conflicting_spends_are_passed_on_and_none_takes_a_place",
        ],
    },
    Mutant {
        name: "one_turn_for_all_kinds_of_requests",
        file: "src/consensus/peers/mod.rs",
        old: "self.next.entry(kind).or_default();",
        new: "self.next.entry(RequestKind::Bodies).or_default();\n        let _one_for_all = kind;",
        caught_by: &["--lib consensus::peers::tests::each_peer_has_its_turn_to_be_asked"],
    },
    Mutant {
        name: "answers_to_whoever_asks_again",
        file: "src/consensus/instances.rs",
        old: "now_ms.max(said_ms.saturating_add(ANSWER_GAP_MS))",
        new: "now_ms.max(said_ms)",
        caught_by: &["--lib consensus::instances::tests::who_asks_without_end_is_answered_once_in_a_while"],
    },
    Mutant {
        name: "forgotten_numbers_stand_at_the_tip",
        file: "src/rpc/events.rs",
        old: "if is_forgotten { self.began } else { self.height }",
        new: "if is_forgotten { self.height } else { self.height }",
        caught_by: &[
            "--lib rpc::events::tests::a_number_that_the_ring_has_forgotten_stands_before_all_blocks_of_this_life",
        ],
    },
    Mutant {
        name: "no_proof_today_is_none_tomorrow",
        file: "src/app/snapshots/source.rs",
        old: "if !is_for_good(&problem) {",
        new: "if false && !is_for_good(&problem) {",
        caught_by: &[
            "--lib app::snapshots::source::tests::whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none",
        ],
    },
    Mutant {
        name: "offers_told_apart_by_their_size",
        file: "src/app/snapshots/fetch_plan.rs",
        old: "candidate.offer.names() == offer.names()",
        new: "candidate.offer == *offer",
        caught_by: &[
            "--lib app::snapshots::fetch_plan::tests::what_somebody_says_of_its_size_makes_it_no_other_snapshot",
        ],
    },
    Mutant {
        name: "who_was_dialled_comes_in_anyhow",
        file: "src/network/connection_manager.rs",
        old: "let place = self.place(newcomer, now).map_err(|_| RefusalReason::Duplicate)?;",
        new: "let place = Place::default();",
        caught_by: &[
            "--lib network::connection_manager::tests::who_was_dialled_comes_in_only_where_a_newcomer_would",
        ],
    },
    Mutant {
        name: "a_byte_now_and_then_is_progress",
        file: "src/network/session.rs",
        old: "if self.bytes >= BULK_STEP_BYTES {",
        new: "if self.bytes > 0 {",
        caught_by: &["--lib network::session::tests::who_takes_a_byte_now_and_then_stalls_as_who_takes_none"],
    },
    Mutant {
        name: "answers_to_who_takes_none",
        file: "src/consensus/serve.rs",
        old: "let is_next = is_taken && of_peer.can_pay(may_search);",
        new: "let is_next = (is_taken || !is_taken) && of_peer.can_pay(may_search);",
        caught_by: &[
            "--lib consensus::serve::tests::who_has_not_taken_its_last_answer_waits_for_the_next_one_and_nobody_else_does",
        ],
    },
    Mutant {
        name: "replaced_index_never_taken_back",
        file: "src/storage/index_guard.rs",
        old: "if path.exists() || !replaced.exists() {",
        new: "if !path.exists() || !replaced.exists() {",
        caught_by: &[
            "--lib storage::index_guard::tests::an_index_whose_successor_did_not_come_is_taken_back",
        ],
    },
    Mutant {
        name: "everybody_comes_in_while_a_snapshot_is_fetched",
        file: "src/app/start.rs",
        old: "NetworkConfig { maps_port: false, max_inbound: 0, ..network.clone() }",
        new: "NetworkConfig { maps_port: false, ..network.clone() }",
        caught_by: &["--lib app::start::tests::while_a_snapshot_is_fetched_nobody_comes_in"],
    },
    Mutant {
        name: "a_starting_node_has_methods",
        file: "src/rpc/startup.rs",
        old: "admit(method, extensions).and_then(refused)",
        new: "admit(method, extensions).map(|_| Value::Null)\n                .or_else(|_| refused(()))",
        caught_by: &[
            "--lib rpc::server::startup_tests::a_node_that_starts_says_how_far_it_is_and_answers_once_it_serves",
        ],
    },
    Mutant {
        name: "senders_that_are_gone_keep_the_store_full",
        file: "src/admission/orphans.rs",
        old: "let oldest = own.map_or(&self.by_age, |share| &share.by_age).first().copied();",
        new: "let oldest = own.and_then(|share| share.by_age.first().copied());",
        caught_by: &["--lib admission::tests::stores::orphans_of_all_senders_together_are_bounded"],
    },
    Mutant {
        name: "a_turn_counts_messages",
        file: "src/admission/thread.rs",
        old: "taken = taken.saturating_add(transactions.len().max(1));",
        new: "taken = taken.saturating_add(1);",
        caught_by: &[
            "--lib admission::thread::tests::a_turn_takes_what_was_asked_for_first_and_shares_the_rest",
        ],
    },
];
