//! Mutants: bugs that are planted on purpose, each with the tests that have to catch it.
//!
//! `MUTANTS=1 cargo test --test mutants -- --nocapture` copies the crate aside, plants the bugs one after the other, and
//! builds and runs the named tests; `MUTANTS=a,b` takes those with these names. A test has to fail: a bug that the
//! compiler refuses, or that makes a test hang, proves nothing. Without the variable only the list itself is checked. The
//! first run compiles the dependencies, every further bug compiles the crate alone.
//!
//! All in the list are caught, by:
//!
//! | bug | caught by |
//! |---|---|
//! | quorum_without_the_one | `the_quorum_is_more_than_two_thirds` |
//! | sum_wraps | `sums_do_not_wrap` |
//! | merkle_root_without_count | `every_path_of_every_small_tree_leads_to_the_root` |
//! | growing_tree_joins_one_pair_alone | `a_tree_that_grew_has_the_root_of_all_its_leaves` |
//! | every_block_taken_for_an_epochs_end | `each_header_proves_the_last_blocks_of_all_epochs_below_it` |
//! | block_vote_without_chain | `block_votes_of_other_step_height_round_epoch_value_and_chain_differ` |
//! | vote_batch_without_chain | `batches_and_proposals_are_bound_to_the_chain` |
//! | input_twice | `each_rule_of_the_shape_is_held` |
//! | unneeded_witness_ignored | `each_rule_of_spending_is_held` |
//! | jail_without_cap | `the_absent_are_jailed_under_the_caps` |
//! | no_unbonding | `a_collateral_is_free_in_epochs_that_start_later_than_the_unbonding_time` |
//! | reward_rest_lost | `the_rest_goes_to_the_proposer_and_shares_of_nothing_are_left_out` |
//! | reward_minted_twice | `payouts_sum_to_the_pot` |
//! | commit_signatures_unchecked | `each_rule_of_the_last_commit_is_held` |
//! | evidence_of_two_epochs | `what_honest_validators_sign_is_no_evidence` |
//! | evidence_of_unrelated_transactions | `what_honest_validators_sign_is_no_evidence` |
//! | vote_counted_twice | `a_quorum_certifies_and_makes_final_and_one_less_does_not` |
//! | old_epochs_votes_count | `votes_of_an_ended_epoch_count_no_more` |
//! | old_epochs_certificates_count | `votes_of_an_ended_epoch_count_no_more` |
//! | child_of_a_parent_that_is_not_final | `a_child_that_comes_after_its_parent_waits_for_finality_too` |
//! | lock_vote_after_closing | `after_the_last_ordinary_block_no_vote_is_cast_until_the_next_epoch` |
//! | votes_not_held_before_closing | `votes_are_held_from_the_precommit_of_the_last_ordinary_block_to_the_next_epoch` |
//! | votes_not_held_after_a_restart | `a_restart_behind_that_precommit_holds_votes_as_well` |
//! | votes_not_held_while_a_block_is_written | `votes_are_held_while_a_block_that_others_decided_is_written` |
//! | held_votes_not_sent | `votes_are_held_for_one_round_only` |
//! | vote_interval_asks_the_clock_again | `a_wait_ends_though_the_clock_was_set_back` |
//! | early_evidence_forgotten | `evidence_waits_for_a_chain_that_was_lost` |
//! | votes_held_in_later_rounds | `votes_are_held_for_one_round_only` |
//! | evidence_forgotten_with_its_epoch | `evidence_outlives_the_end_of_its_epoch_and_goes_with_the_block_that_has_it` |
//! | lock_forgotten_at_restart | `a_restart_does_not_forget_votes_locks_promises_or_closing` |
//! | tendermint_lock_forgotten_at_restart | `a_restored_lock_refuses_another_block` |
//! | vote_of_another_life_not_remembered | `a_prevote_is_sent_again_and_no_other_one_cast` |
//! | lock_does_not_refuse | `line_23_a_lock_refuses_another_first_proposal_at_once` |
//! | proof_of_lock_not_asked_for | `line_28_a_proof_of_lock_stands_for_the_local_checks_and_unlocks` |
//! | valid_value_not_proposed_again | `line_14_the_proposer_builds_or_proposes_its_valid_value_again` |
//! | closing_block_not_full | `a_blocks_bytes_are_limited_and_a_closing_block_is_full_or_the_last` |
//! | epoch_ended_without_a_promise | `no_epoch_ends_without_what_was_promised` |
//! | uncertified_prevoted | `a_block_waits_until_all_that_is_in_it_is_certified_here` |
//! | time_drift_unchecked | `a_block_from_the_future_waits_for_the_clock` |
//! | sync_without_commit | `every_byte_of_a_block_in_sync_counts` |
//! | decided_fork_of_one_side_only | `a_parting_is_judged_by_its_own_two_blocks` |
//! | decided_fork_hides_others | `a_parting_is_judged_by_its_own_two_blocks`, `a_fork_after_one_that_was_decided_on_is_found` |
//! | heartbeats_number_unsigned | `heartbeats` |
//! | journal_not_synced | `released_records_survive_a_crash_at_every_operation`, `acknowledged_blocks_survive_a_crash_at_every_operation` |
//! | checksum_unchecked | `a_flipped_bit_is_named_or_cuts_the_last_commit_alone`, `a_flipped_bit_is_cut_off_as_a_torn_end_or_named_but_never_served` |
//! | torn_tail_left_in_place | `a_log_cut_anywhere_opens_with_the_blocks_before_the_cut_and_goes_on` |
//! | damage_taken_for_a_torn_tail | `a_flipped_bit_is_named_or_cuts_the_last_commit_alone`, `a_flipped_bit_is_cut_off_as_a_torn_end_or_named_but_never_served` |
//! | index_trusted_beyond_the_log | `every_way_to_the_tip_ends_in_the_same_state_and_index` |
//! | slashed_collateral_not_indexed | `every_way_to_the_tip_ends_in_the_same_state_and_index` |
//! | newest_votes_retired_first | `a_crash_while_pruning_leaves_no_gap` |
//! | newcomer_weighs_all_at_once | `a_gold_one_that_never_comes_up_cannot_stop_the_chain` |
//! | the_dead_grow_by_old_attendance | `nobody_grows_by_what_it_signed_in_earlier_epochs` |
//! | all_newcomers_on_trial_at_once | `no_crowd_that_never_comes_up_can_stop_the_chain` |
//! | growing_member_jailed_under_the_cap_only | `a_growing_member_that_dies_is_jailed_beyond_the_cap_and_starts_again` |
//! | certificates_told_apart_by_txid | `each_vote_behind_a_promise_is_written_and_none_twice` |
//! | bytes_make_no_block_due | `large_payments_make_a_block_due` |
//! | rounds_ahead_validated_at_once | `blocks_of_rounds_ahead_are_validated_when_their_round_comes_or_a_third_votes_for_them` |
//! | early_messages_unchecked | `early_messages_are_kept_within_their_bytes_and_only_if_a_known_set_signed_them` |
//! | liars_height_believed | `a_height_is_believed_only_of_who_delivers` |
//! | certificate_without_a_quorum | `votes_that_are_no_quorum_certify_nothing_and_cost_no_check` |
//! | forgotten_batches_passed_on | `a_batch_below_all_that_is_remembered_counts_and_is_not_passed_on_again_and_again` |
//! | answers_without_budget | `who_has_used_up_its_budget_waits_and_nobody_else_does` |
//! | intervals_by_the_wall_clock | `a_clock_that_is_set_ahead_and_back_moves_no_interval` |
//! | one_job_too_many | `no_more_jobs_run_at_once_than_the_pool_has_threads` |
//! | answers_outlive_their_epoch | `what_a_peer_answered_in_an_epoch_says_nothing_of_the_next` |
//! | returned_peer_still_believed | `who_comes_back_has_to_deliver_again_before_its_height_is_believed` |
//! | sync_bytes_drift | `blocks_in_sync_are_held_within_their_bytes` |
//! | sync_bytes_unbounded | `blocks_in_sync_are_held_within_their_bytes` |
//! | acknowledgements_outlive_their_epoch | `acknowledgements_of_an_epoch_that_is_over_count_no_more` |
//! | heartbeats_by_a_clock_set_back | `the_times_of_heartbeats_ascend_though_the_clock_was_set_back` |
//! | heartbeats_flood | `heartbeats_of_one_member_are_passed_on_once_in_a_while` |
//! | evidence_of_any_size_proposed | `a_proposer_takes_no_more_evidence_than_a_block_may_have` |
//! | new_peer_not_told_of_evidence | `a_new_peer_is_told_of_evidence_that_no_block_has` |
//! | votes_beyond_a_quorum_prove_nothing | `who_contradicts_itself_beyond_a_quorum_is_accused_as_well` |
//! | burned_outputs_stay | `what_evidence_burns_is_gone_from_the_outputs` |
//! | newest_hashes_forgotten | `another_block_at_the_tip_is_noticed_after_many_blocks` |
//! | apart_for_ever | `who_was_on_the_other_side_is_asked_for_blocks_again_after_a_while` |
//! | bodies_not_written_again_in_the_next_epoch | `what_is_voted_on_again_in_the_next_epoch_is_written_again` |
//! | votes_unsigned_at_closing_are_said_later | `what_was_not_signed_in_its_epoch_is_not_signed_in_the_next` |
//! | late_batch_stops_votes | `a_batch_that_is_durable_after_its_epoch_holds_up_no_vote_of_the_next` |
//! | votes_of_the_next_epoch_dropped | `votes_of_the_next_epoch_count_when_it_begins` |
//! | who_said_more_is_not_asked | `who_said_more_of_the_next_epoch_than_could_be_checked_is_asked_for_it` |
//! | timeouts_of_heights_that_are_over | `a_timeout_of_a_height_that_is_over_moves_nothing` |
//! | late_precommits_left_out | `a_precommit_that_comes_late_is_in_the_next_blocks_commit` |
//! | late_precommits_by_the_next_set | `a_precommit_that_comes_late_is_in_the_next_blocks_commit` |
//! | block_judged_once | `a_block_that_comes_back_in_a_late_round_is_judged_again` |
//! | votes_while_asking_lost | `what_was_voted_in_the_machine_while_the_node_asked_is_said_then` |
//! | payments_of_any_number_proposed | `a_proposer_takes_no_more_payments_than_a_block_may_have` |
//! | past_words_cut_within_a_height | `heights_are_forgotten_as_a_whole_and_what_was_said_is_never_foreign` |
//! | one_peer_asked_for_all | `each_peer_has_its_turn_to_be_asked` |
//! | live_instances_make_room | `the_one_that_was_silent_for_longest_makes_room` |
//! | locks_of_the_present_epoch_not_needed | `a_vote_to_lock_unknown_inputs_is_refused_unless_its_epoch_is_over` |
//! | answers_end_believed | `the_end_of_an_answer_says_nothing_of_what_was_not_asked_for` |
//! | forgotten_epochs_signed_again | `nor_in_those_between_once_the_chain_comes_back` |
//! | one_waiting_lock_a_block | `all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up` |
//! | resident_bytes_drift | `all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up` |
//! | certified_bytes_drift | `all_locks_that_waited_for_blocks_are_said_once_blocks_have_caught_up` |
//! | body_of_a_block_still_wanted | `what_a_block_contains_is_asked_for_no_more` |
//! | certificate_of_a_block_still_wanted | `what_a_block_contains_is_asked_for_no_more` |
//! | final_body_left_in_the_journal | `a_final_one_whose_body_was_left_to_the_journal_is_read_and_told` |
//! | body_left_to_a_journal_without_it | `a_locked_body_is_left_to_the_journal_only_if_that_has_it` |
//! | one_old_epoch_forgotten_at_a_time | `all_epochs_that_are_too_long_ago_are_forgotten_at_once` |
//! | index_queue_bytes_drift | `the_writer_applies_in_order_marks_and_finishes` |
//! | full_pool_holds_coins | `what_the_pool_has_no_room_for_holds_no_coin` |
//! | lost_childs_children_stay | `the_descendants_of_a_child_that_lost_its_other_coin_leave_the_pool` |
//! | refused_connections_go_on | `who_was_refused_too_often_rests_before_the_next_request_is_read` |
//! | large_blocks_wait_for_their_mark | `large_blocks_are_marked_before_much_would_have_to_be_applied_again` |
//! | author_without_a_pace | `one_members_votes_pass_up_to_its_pace_and_forged_ones_take_nothing_of_it` |
//! | copies_of_a_job_pass_twice | `signatures_of_a_job_are_checked_at_once_and_a_bad_one_is_its_senders_alone` |
//! | one_bad_signature_condemns_its_job | `signatures_of_a_job_are_checked_at_once_and_a_bad_one_is_its_senders_alone` |
//! | missed_votes_use_up_the_pace | `what_was_missed_does_not_hold_up_the_votes_of_the_moment` |
//! | link_without_the_trusted_quorum | `a_quorum_of_a_set_that_nobody_knows_is_not_enough` |
//! | trust_by_the_weights_of_the_signing_set | `trust_is_weighed_by_the_weights_of_the_trusted_set` |
//! | keys_that_stand_twice | `a_key_or_a_masternode_that_stands_twice_counts_for_nothing` |
//! | any_set_in_the_epoch_that_is_trusted | `who_votes_in_the_epoch_of_the_trusted_set_is_known` |
//! | passed_epochs_without_blocks | `epochs_heights_and_times_ascend` |
//! | times_that_stand_still | `epochs_heights_and_times_ascend` |
//! | spare_links_accepted | `a_link_is_spare_if_the_set_before_it_does_for_the_next_one` |
//! | a_signer_spare_for_one_quorum_only | `a_signer_that_breaks_neither_quorum_is_spare`, `trimming_for_two_sets_reaches_both_with_none_to_spare` |
//! | spare_links_built | `a_link_that_a_longer_one_makes_spare_is_taken_out` |
//! | a_block_trusted_by_its_height_alone | `only_the_block_that_the_verifier_names_is_started_from` |
//! | any_end_of_the_past | `only_the_ends_to_which_the_trusted_block_commits_are_started_from` |
//! | links_that_lead_on_from_the_past | `no_link_leads_on_from_an_epoch_before_the_trusted_block` |
//! | precommits_of_the_next_block_overlooked | `the_precommits_that_the_next_block_has_pass_over_epochs_too` |
//! | intervals_count_from_the_start | `a_block_is_due_an_interval_after_the_one_that_was_applied_last` |
//! | votes_behind_a_late_batch_wait | `a_batch_that_is_durable_after_its_epoch_holds_up_no_vote_of_the_next` |
//! | full_batches_refused | `a_batch_has_as_many_votes_as_the_rules_allow_and_one_at_least` |
//! | child_before_its_parent_left_out | `a_proposer_takes_a_child_that_was_certified_before_its_parent` |
//! | rivals_known_one_way | `lock_votes_for_conflicting_transactions_are_seen_in_any_order_of_bodies_and_votes` |
//! | hopeless_transaction_taken_for_a_bad_copy | `who_spends_what_its_parent_does_not_make_is_condemned_in_all_copies_with_its_child` |
//! | children_of_what_was_let_go_condemned | `a_child_outlives_a_body_that_was_only_let_go` |
//! | child_counted_twice | `a_child_that_comes_twice_at_once_is_counted_once` |
//! | journal_without_its_header_taken_for_new | `a_pruned_journal_without_its_header_is_damaged_and_not_new` |
//! | pieces_of_large_states_stay | `a_mark_removes_the_whole_state_before_it` |
//! | bad_content_weighs_as_a_bad_signature | `small_wrongs_weigh_little_and_lies_more` |
//! | points_outlive_their_ban | `who_was_banned_begins_without_points_when_the_ban_is_over_or_lifted` |
//! | credit_granted_again | `what_was_granted_is_granted_once` |
//! | passwords_end_at_a_colon | `a_password_may_have_colons` |
//! | forged_evidence_believed | `forged_evidence_accuses_nobody_and_its_sender_is_blamed` |
//! | double_votes_for_blocks_accuse_nobody | `who_signs_two_votes_or_two_proposals_of_a_round_is_accused` |
//! | promises_left_out_not_sent_on | `no_epoch_ends_without_what_was_promised` |
//! | bodies_asked_for_not_given | `who_asks_for_bodies_certificates_batches_or_blocks_is_answered` |
//! | own_key_heard_among_block_votes_ignored | `who_hears_its_own_key_say_something_else_signs_nothing_any_more` |
//! | transactions_of_peers_lost | `transactions_of_peers_are_handed_to_admission` |
//! | signing_goes_on_after_a_fork_of_a_lost_peer | `a_second_block_that_was_shown_is_not_hidden_by_silence` |
//! | fork_found_again_and_again | `a_second_block_that_was_shown_is_not_hidden_by_silence` |
//! | votes_cast_while_asking_lost | `a_payment_that_comes_while_the_node_asks_has_its_vote_then` |
//! | own_words_of_later_epochs_forgotten | `own_words_of_an_epoch_that_the_chain_lost_are_known_when_it_comes_back` |
//! | answers_outlive_their_connection | `who_comes_back_is_asked_again_for_what_it_had_not_given` |
//! | new_peers_not_asked | `a_new_peer_hears_the_question_at_once` |
//! | spender_not_indexed | `the_index_names_the_transaction_that_spent_an_output` |
//! | journaled_votes_not_counted | `the_votes_behind_a_promise_certify_again_after_a_restart` |
//! | settled_batches_kept | `batches_whose_votes_all_are_in_the_chain_are_kept_no_more` |
//! | closing_not_written_at_a_start | `who_starts_at_a_closing_height_writes_so_at_once` |
//! | earlier_timer_wakes_nobody | `each_timer_elapses_once_and_in_the_order_of_deadlines` |
//! | child_forgotten_when_news_do_not_fit | `a_users_child_whose_parent_becomes_final_in_between_is_not_forgotten` |
//! | names_of_made_up_parents_stay | `orphans_that_have_gone_leave_nothing_behind` |
//! | evicted_not_told | `what_makes_room_for_a_richer_one_is_gone_for_everybody` |
//! | slow_transaction_keeps_its_place_for_ever | `a_slow_transaction_that_is_forgotten_keeps_no_place` |
//! | locks_outlive_their_epoch_for_readers | `readers_see_how_far_a_payment_is_and_an_epoch_frees_what_it_did_not_take` |
//! | contested_keeps_its_place_at_the_door | `what_is_final_contested_or_dropped_makes_room_at_the_door` |
//! | lacking_peers_sent_nothing_of_the_round | `a_peer_is_sent_what_it_lacks_of_the_round_that_it_is_in` |
//! | bodies_without_room_kept | `a_body_for_whose_bytes_there_is_no_room_is_not_kept` |
//! | outputs_waited_for_stay | `what_waits_no_more_leaves_nothing_behind` |
//! | no_copy_asked_for_after_a_bad_one | `when_the_copy_that_was_kept_turns_out_bad_another_is_asked_for_if_votes_name_it` |
//! | carried_one_lost_when_a_body_comes_twice | `a_body_that_is_loaded_twice_takes_nobodys_place` |
//! | bad_copies_never_forgotten | `bad_copies_are_remembered_up_to_a_number_and_the_oldest_is_forgotten` |
//! | early_messages_outlive_their_connection | `early_messages_are_kept_within_their_bytes_and_only_if_a_known_set_signed_them` |
//! | bytes_that_left_memory_still_count | `a_locked_body_is_left_to_the_journal_only_if_that_has_it` |
//! | journaled_lock_expires | `a_restart_does_not_forget_votes_locks_promises_or_closing` |
//! | applied_blocks_not_shown | `readers_see_a_block_that_was_applied_at_once` |
//! | last_byte_of_a_transaction_refused | `a_transaction_may_have_all_of_its_bytes_and_not_one_more` |
//! | heartbeats_sent_round_for_ever | `a_heartbeat_that_comes_again_is_not_passed_on_again` |
//! | block_votes_of_others_not_passed_on | `votes_and_proposals_of_others_are_passed_on_once` |
//! | own_votes_taken_for_a_copys | `own_words_that_come_back_are_not_taken_for_anothers` |
//! | named_under_its_own_key_and_signs_on | `who_is_named_under_its_own_key_signs_nothing_any_more` |
//! | status_said_once | `a_node_says_where_it_stands_again_and_again` |
//! | rounds_without_timeouts | `a_round_without_a_proposal_has_its_timeout` |
//! | proof_of_lock_not_sent_with_its_proposal | `a_block_that_comes_back_in_a_late_round_is_judged_again` |
//! | rivals_without_room_kept | `a_body_for_whose_bytes_there_is_no_room_is_not_kept` |
//! | own_events_behind_others | `the_lanes_are_taken_in_their_order_and_none_starves` |
//! | unreadable_outputs_unnoticed | `the_node_stops_when_outputs_cannot_be_read` |
//! | checks_by_an_old_set | `readers_and_checks_of_signatures_hear_of_a_block` |
//! | bodies_come_unasked | `every_order_is_carried_out` |
//! | failed_journal_unreported | `a_journal_that_fails_stops_the_node_and_sends_nothing` |
//! | votes_retired_an_epoch_early | `what_is_retired_is_older_than_the_epoch_of_the_order_and_was_written_before_it` |
//! | blocks_without_room_for_outputs | `no_block_is_appended_while_outputs_have_no_room_and_the_index_goes_on_meanwhile` |
//! | answer_to_another_user | `a_turn_takes_what_was_asked_for_first_and_shares_the_rest` |
//! | load_makes_no_block_due | `enough_certified_payments_begin_the_height_at_once_when_the_gap_is_over` |
//! | halted_while_a_block_is_written | `a_node_that_writes_a_block_or_fetches_some_does_not_call_the_chain_halted` |
//! | journaled_batches_written_again | `batches_that_the_journal_holds_are_not_written_again` |
//! | early_bytes_one_less | `of_a_peer_and_in_all_no_more_is_kept_than_allowed_and_just_as_much` |
//! | second_batch_does_not_count | `a_second_batch_under_a_number_counts_and_is_passed_on_once` |
//! | prevotes_behind_a_precommit_not_written | `the_proposal_and_the_prevotes_behind_a_precommit_are_durable_before_it` |
//! | forks_forgotten_with_their_epoch | `the_journal_forgets_an_epoch_when_what_outlives_it_stands_behind_its_end` |
//! | window_without_highest | `what_a_crash_left_of_a_window_is_gone_after_a_longer_one` |
//! | highest_goes_back | `what_a_crash_left_of_a_window_is_gone_after_a_longer_one` |
//! | pages_beyond_what_is_known | `pages_of_an_address_are_in_order_however_window_and_store_are_mixed` |
//! | transient_not_indexed | `the_index_knows_who_spent_what_a_block_made_itself` |
//! | table_without_deletions | `fjall_reads_the_newest_after_a_kill` |
//! | unordered_table | `changes_in_no_order_are_applied_one_after_the_other` |
//! | door_open_while_the_index_lags | `the_door_is_closed_while_the_index_is_far_behind` |
//! | known_for_longest_makes_room | `an_old_one_that_still_speaks_is_not_the_one_that_makes_room` |
//! | question_of_an_old_epoch_is_not_renewed | `a_question_that_has_become_another_one_is_asked_without_waiting_for_its_turn` |
//! | who_left_is_acknowledged | `who_left_the_set_is_acknowledged_no_more` |
//! | a_quorum_by_itself_asks | `who_is_a_quorum_by_itself_or_no_member_need_not_ask_when_it_hears_nobody` |
//! | attested_in_an_epoch_that_is_over | `whom_a_masternode_heard_in_an_epoch_that_is_over_it_attests_no_more` |
//! | evidence_of_this_epoch_lost_with_the_chain | `evidence_waits_for_the_blocks_of_its_epoch_that_were_lost` |
//! | batches_of_another_epoch_asked_for | `when_an_answer_ends_only_what_its_peer_said_of_this_epoch_is_asked_for` |
//! | blocks_asked_for_beyond_what_is_held | `no_block_is_asked_for_that_is_further_ahead_than_blocks_are_held` |
//! | proof_of_a_fork_lost | `a_second_block_that_was_shown_is_not_hidden_by_one_that_proves_nothing` |
//! | all_budgets_anew_when_the_table_is_full | `who_is_remembered_gets_no_new_budget_when_there_is_no_room_for_others` |
//! | lost_body_taken_for_here | `a_body_that_gave_way_to_others_is_asked_for_again_while_a_block_has_it` |
//! | bodies_of_a_returned_epoch_left_to_the_journal | `what_an_epoch_had_locked_is_there_again_when_it_comes_back` |
//! | copy_taken_for_a_body | `a_copy_that_waits_for_its_parent_is_no_body_of_a_certified_transaction` |
//! | dead_child_asked_for | `what_went_with_its_parent_is_asked_for_no_more` |
//! | mark_of_a_registration_overlooked | `what_a_registration_on_its_way_marks_is_not_spent` |
//! | rested_hosts_stay | `hosts_that_have_rested_make_room_for_others` |
//! | proof_without_its_ending_counted | `a_set_that_was_there_before_is_proved_like_any_other` |
//! | reached_round_taken_back | `how_far_a_member_has_come_is_not_taken_back_by_a_vote_that_comes_late` |
//! | precommits_long_past_forgotten | `a_block_that_comes_long_after_its_precommits_is_decided_with_them` |
//! | open_fork_forgotten_with_its_epoch | `a_fork_that_is_not_decided_on_outlives_the_end_of_its_epoch` |
//! | journal_of_the_height_used_up_while_asking | `a_restarted_node_that_has_to_ask_first_is_locked_as_it_was` |
//! | decision_closes_any_fork | `a_decision_on_one_fork_leaves_another_one_open` |
//! | orphans_of_all_senders_unbounded | `orphans_of_all_senders_together_are_bounded` |
//! | parents_of_lost_children_stay | `children_that_have_gone_leave_nothing_behind` |
//! | batches_named_without_their_votes | `batches_that_differ_in_anything_signed_are_told_apart` |
//! | nobody_woken_behind_a_turn | `everything_that_admission_says_is_done` |
//! | limits_of_blocks_with_a_gap | `blocks_without_a_gap_are_never_limited` |
//! | a_proposal_without_its_proof_is_had | `a_proposal_lacks_until_its_proof_of_lock_is_here` |
//! | waiting_for_observers_that_are_gone | `who_tells_goes_on_when_nobody_hears_any_more` |
//! | debts_are_forgotten | `who_has_used_up_its_budget_is_not_forgotten_before_it_has_it_again` |
//! | bodies_of_blocks_uncounted | `a_message_counts_with_all_bodies_in_it` |
//! | too_many_files_taken_for_damage | `what_the_machine_lacks_is_no_damage_of_the_index` |
//! | lost_blocks_taken_for_a_new_log | `a_log_that_lost_all_of_its_blocks_is_not_taken_for_a_new_one` |
//! | damaged_journal_replaced | `a_damaged_journal_is_never_replaced` |
//! | cut_under_a_name_that_is_not_durable | `a_crash_in_a_removal_after_one_that_failed_leaves_no_gap` |
//! | names_that_came_kept_for_ever | `names_that_came_take_no_more_memory_than_those_that_did_not` |
//! | dropped_names_without_a_bound | `what_is_dropped_is_kept_within_the_bound_as_well` |
//! | final_before_the_pool_had_it_stays_certified | `what_became_final_before_the_pool_had_it_is_final_there` |
//! | texts_take_no_memory | `whatever_a_transaction_contains_it_takes_more_memory_than_its_encoding` |
//! | an_addresss_surplus_closes_others | `an_address_with_too_many_connections_closes_its_own_and_nobody_elses` |
//! | room_for_answers_made_by_anybody | `a_stranger_that_does_not_take_its_answer_is_closed_for_room_and_nobody_else` |
//! | credentials_protect_for_ever | `credentials_protect_a_connection_until_a_request_comes_without_them` |
//! | bodies_that_are_read_count_no_more | `bodies_of_requests_that_wait_count_among_all_bodies` |
//! | a_notification_takes_the_answers_of_its_batch | `notifications_of_a_batch_have_no_answer_and_take_none_from_others` |
//! | rests_without_end | `nobody_rests_for_longer_than_is_stated` |
//! | in_the_chain_told_as_policy | `whoever_submits_what_a_block_has_learns_so_whichever_part_knows_it` |
//! | strangers_wait_with_a_turn_of_others | `strangers_that_wait_for_their_turn_hold_up_nobody_else` |
//! | a_part_of_a_cookie_stops_every_start | `a_cookie_is_made_though_an_earlier_start_left_a_part_of_one` |
//! | collateral_told_as_locked | `a_balance_says_of_each_output_once_what_keeps_it_from_being_spent` |
//! | optional_parameters_have_no_names | `parameters_are_given_by_their_names_as_well_as_in_their_order` |
//! | misspelt_parameter_ignored | `a_subscription_is_asked_for_by_the_names_and_the_number_of_parameters_that_the_table_has` |
//! | notification_subscribes | `a_subscription_is_asked_for_by_a_request_alone` |
//! | batch_taken_for_a_subscription | `values_in_the_order_of_a_requests_members_are_a_batch_of_what_is_no_request` |
//! | stopping_told_as_starting | `a_node_that_stops_does_not_say_that_it_starts` |
//! | refusal_counted_with_its_first_event | `what_is_counted_by_a_label_is_there_before_its_first_event` |
//! | history_told_as_whole | `a_page_that_leaves_out_some_of_the_pool_is_not_complete` |
//! | one_try_told_as_added | `what_the_operator_adds_can_be_taken_back_and_one_try_is_one` |
//! | waiting_children_of_any_bytes | `what_waits_for_parents_is_bounded_in_bytes_as_well` |
//! | fullness_without_bytes | `the_floor_stays_for_its_time_while_the_pool_is_full_of_bytes` |
//! | cached_outputs_counted_as_bytes | `the_cache_takes_no_more_memory_than_it_is_given` |
//! | holders_refused_when_locks_are_full | `who_holds_its_coins_has_them_though_no_more_can_be_locked` |
//! | come_again_taken_for_stale | `what_comes_again_is_not_taken_for_what_has_left` |
//! | announcements_of_any_length | `an_announcement_names_no_more_than_a_message_may` |
//! | rivals_have_to_improve_everywhere | `who_comes_first_for_one_of_its_coins_is_passed_on` |
//! | only_the_first_of_a_block_is_news | `the_children_of_all_that_a_block_contains_are_pushed` |
//! | child_without_room_waits_on | `a_child_for_which_the_pool_has_no_room_does_not_wait` |
//! | large_answers_fit_no_queue | `an_answer_of_any_size_has_room_in_an_empty_queue` |
//! | unreadable_mark_overlooked | `a_mark_that_cannot_be_read_has_the_index_built_again_too` |
//! | retired_files_kept_open | `no_file_is_kept_open_whose_segment_was_retired` |
//! | window_written_in_one_piece | `a_large_window_is_written_in_parts_and_whole` |
//! | checkpoint_of_sync_only | `no_other_block_takes_the_checkpoints_place_although_a_quorum_signed_it` |
//! | passed_checkpoint_vouches | `a_node_that_was_away_too_long_asks_for_nothing_and_takes_nothing_without_a_checkpoint` |
//! | signs_below_the_checkpoint | `nothing_is_signed_below_the_checkpoint_and_all_is_from_there_on` |
//! | states_of_changes_uncounted | `all_that_a_change_holds_is_counted_in_its_bytes` |
//! | idle_trackers_forgotten | `a_tracker_that_was_idle_is_waited_for_however_many_tasks_have_ended` |
//! | stopped_replay_told_as_a_failure | `a_start_that_was_told_to_stop_says_so_whatever_it_was_doing` |
//! | holder_of_a_contested_coin_keeps_its_place | `neither_of_two_rivals_keeps_a_place_at_the_door_nor_does_what_was_dropped` |
//! | winners_of_lost_coins_not_kept | `what_is_new_is_written_when_the_node_stops` |
//! | configured_peers_taken_back | `what_the_operator_adds_can_be_taken_back_and_one_try_is_one` |
//! | groups_above_not_limited | `the_least_limit_of_a_process_groups_counts_in_both_versions` |
//! | pruning_held_at_the_greater_bound | `pruning_holds_the_log_at_the_lesser_of_both_bounds_if_the_disk_has_room_for_it` |
//! | limit_unread_without_a_cursor | `every_method_refuses_each_of_its_parameters_by_name_where_it_is_wrong` |
//! | who_waits_is_not_told_of_the_end | `whoever_watches_a_payment_hears_of_each_thing_that_becomes_of_it` |
//! | first_vote_told_for_the_running_epoch | `a_key_signs_from_the_epoch_after_the_running_one_on` |
//! | expected_forgotten_when_named_again | `who_is_expected_at_an_address_is_not_forgotten_when_it_is_named_again` |
//! | tried_given_up_unasked | `what_answered_is_asked_again_before_it_makes_room` |
//! | one_teller_reaches_all_buckets | `one_group_of_tellers_reaches_its_share_of_the_buckets_and_no_more` |
//! | places_without_the_secret | `places_depend_on_the_nodes_secret` |
//! | good_addresses_pushed_out | `a_place_is_given_up_only_by_what_is_bad_or_has_another_one` |
//! | drawn_by_address_not_by_bucket | `each_bucket_is_drawn_from_as_often` |
//! | hearsay_told | `hearsay_is_not_told_and_neither_is_what_is_bad` |
//! | said_identity_bars | `who_is_said_to_be_at_an_address_decides_nothing` |
//! | second_outbound_peer_of_a_group | `no_second_outbound_peer_of_a_group_is_taken`, `one_outbound_connection_to_a_network_is_enough` |
//! | anchors_forgotten | `anchors_of_the_last_run_are_dialled_first` |
//! | offline_held_against_others | `a_node_that_reaches_nobody_holds_that_against_nobody` |
//! | chain_leads_into_local_networks | `local_addresses_of_the_chain_are_dialled_only_where_they_can_be_meant` |
//! | hidden_peer_told | `a_peer_that_hides_is_told_to_nobody`, `a_node_behind_a_sentry_is_reached_by_it_alone_and_told_to_nobody` |
//! | connected_peer_loses_its_proof | `a_peer_that_is_connected_is_not_asked_whether_it_is_there_and_keeps_its_place` |
//! | strangers_reach_a_hidden_node | `a_node_behind_a_sentry_is_reached_by_it_alone_and_told_to_nobody` |
//! | learned_address_takes_the_place_of_a_connection | `a_peer_that_connected_is_proved_and_keeps_its_connection` |
//! | file_of_peers_unchecked | `what_is_written_is_read_and_every_changed_byte_is_noticed` |
//! | nearest_displaced | `the_nearest_and_the_bringers_of_payments_and_votes_keep_their_places` |
//! | networks_not_kept | `a_few_networks_keep_a_place_by_a_secret` |
//! | registered_masternodes_displaced | `a_registered_masternode_keeps_its_place_though_it_is_not_in_the_set` |
//! | behind_an_end_unbounded | `what_comes_behind_the_end_of_a_connection_is_bounded_and_leaves_no_trace` |
//! | unknown_senders_leave_a_trace | `what_comes_behind_the_end_of_a_connection_is_bounded_and_leaves_no_trace` |
//! | dropped_messages_take_tokens | `what_is_dropped_takes_nothing` |
//! | tokens_of_parts_of_a_millisecond_lost | `parts_of_a_millisecond_are_not_lost` |
//! | points_of_a_group_outlive_its_ban | `a_group_begins_without_points_when_its_ban_is_over_or_lifted` |
//! | operators_ban_shortened | `a_ban_for_misbehaviour_shortens_no_longer_one` |
//! | full_queue_taken_for_had | `a_peer_is_offered_again_what_its_queue_had_no_room_for` |
//! | any_pong_is_an_answer | `the_latency_is_that_of_an_answer_to_a_ping` |
//! | other_chains_make_room_while_seen | `one_that_was_seen_a_moment_ago_makes_no_room` |
//! | delays_without_credit_counted | `a_message_whose_rest_has_no_credit_is_waited_for` |
//! | one_past_height_forgotten_at_a_time | `words_stay_within_their_number_however_many_a_height_has` |
//! | time_ahead_passes_the_mark | `a_block_whose_time_is_ahead_does_not_stand_for_the_one_before_the_epochs_end` |
//! | dropped_votes_passed_on | `a_vote_that_is_not_kept_is_not_passed_on` |
//! | unsaid_votes_unbounded | `of_votes_that_were_not_said_the_last_ones_are_kept_up_to_a_number` |
//! | votes_of_certificates_uncounted | `certificates_count_with_all_votes_in_them` |
//! | bodies_of_applied_blocks_uncounted | `a_block_that_waits_for_observers_counts_with_its_bodies` |
//! | index_without_epochs_trusted | `an_index_without_the_ends_of_epochs_is_made_anew` |
//! | blocks_read_again_to_the_end | `a_start_can_be_ended_while_it_reads_the_blocks_of_the_epoch_again` |
//! | avoided_for_longer_and_longer | `who_fails_again_and_again_is_avoided_for_so_long_at_most` |
//! | other_chains_asked_with_each_status | `who_is_on_another_chain_is_asked_for_one_block_at_a_time` |
//! | proposals_of_any_chain | `a_proposal_of_another_chain_is_none_of_this_one` |
//! | left_out_batch_is_the_newest | `a_batch_that_is_left_out_changes_no_budget` |
//! | a_turn_tells_at_its_end_alone | `observers_hear_in_the_midst_of_a_turn_that_brings_much` |
//! | early_messages_of_the_gone_kept | `what_comes_early_of_somebody_who_is_not_there_is_not_kept` |
//! | own_start_named_as_a_rival | `a_node_does_not_name_itself_as_a_rival` |
//! | a_copy_takes_a_journaled_bodys_place | `a_copy_takes_no_place_of_a_body_that_was_left_to_the_journal` |
//! | third_proposal_reported_again | `a_third_proposal_that_votes_demand_is_kept_without_another_report` |
//! | second_batches_unbounded | `second_batches_of_a_validator_are_taken_up_to_a_number` |
//! | certificates_turned_away | `a_certificate_counts_behind_a_flood_of_votes_for_what_does_not_exist` |
//! | sources_beyond_the_quorum_kept | `a_certificate_has_no_more_votes_than_it_needs` |
//! | answers_of_parts_of_a_millisecond_lost | `parts_of_a_millisecond_are_not_lost` |
//! | children_of_a_loser_wait | `no_users_child_waits_for_one_that_lost_to_a_rival` |
//! | locks_taken_for_finality | `a_certificate_of_final_votes_is_looked_at_until_its_transaction_is_final` |
//! | one_that_is_gone_keeps_other_children | `all_children_of_what_no_block_can_take_any_more_are_dropped_with_it` |
//! | imported_records_written_again | `records_that_are_written_in_parts_are_there_once_each_and_in_their_order` |
//! | rivals_without_a_body_hide_others | `a_contradiction_is_found_whatever_was_voted_for_bodies_that_were_let_go` |
//! | all_certificates_in_each_part | `promises_that_were_left_out_are_sent_once_each_and_in_parts` |
//! | timers_set_meanwhile_slept_through | `a_timer_that_is_set_while_another_one_elapses_is_not_slept_through` |
//! | cursor_of_another_start_goes_on_here | `after_a_restart_blocks_and_pool_tell_what_the_ring_does_not_know` |
//! | finals_of_the_pool_not_told | `after_a_restart_blocks_and_pool_tell_what_the_ring_does_not_know` |
//! | rest_of_a_full_page_lost | `a_page_that_is_full_says_where_the_rest_is` |
//! | cursors_stand_behind_the_last_block | `what_the_ring_has_forgotten_is_read_from_the_blocks_above_the_cursors_height` |
//! | intervals_by_the_clock_that_is_set | `intervals_run_on_the_clock_that_nobody_sets_and_times_are_said_by_the_other_one` |
//! | bodies_in_the_chain_take_room | `what_is_in_the_chain_takes_no_room_of_locked_bodies` |
//! | announced_for_ever | `what_has_its_votes_makes_room_for_what_comes_later` |
//! | last_key_of_a_page_again | `every_store_goes_on_behind_the_last_key_of_a_page` |
//! | proposals_not_written | `who_proposed_and_starts_again_says_the_same_proposal_and_no_other_one` |
//! | left_out_batches_known | `what_was_left_out_passes_once_its_author_has_a_pace_again` |
//! | certificates_wanted_of_who_did_not_lock | `a_certificate_that_is_here_is_asked_for_no_more_whoever_named_it` |
//! | one_set_an_epoch_for_early_votes | `early_votes_of_the_next_epoch_are_kept_by_the_set_of_each_block_that_may_be_its_last` |
//! | admission_outlives_consensus | `the_thread_ends_when_consensus_is_gone_though_nobody_stops_it` |
//! | body_read_and_not_told | `a_block_has_a_body_that_was_left_to_the_journal_once_it_was_read` |
//! | block_of_another_height_served | `a_block_of_another_height_is_never_served` |
//! | wanted_by_several_is_asked_for_twice | `a_certificate_that_several_members_want_is_asked_for_once` |
//! | announcing_what_is_here_takes_a_turn | `a_peer_that_announced_what_is_here_is_asked_for_what_it_announces_next` |
//! | incomplete_block_holds_up_the_others | `a_block_one_of_whose_bodies_was_let_go_holds_up_no_other` |
//! | full_disk_taken_for_damage | `what_the_operating_system_refuses_is_no_damage_of_a_fjall` |
//! | act_dated_by_its_punishment | `what_a_block_punishes_is_noted_with_the_height_of_the_act` |
//! | late_votes_are_kept | `late_votes_for_what_a_block_contains_leave_nothing_behind` |
//! | fork_sought_at_who_is_gone | `no_search_for_a_fork_begins_at_a_peer_that_is_gone` |
//! | signs_on_after_a_fork | `who_has_found_a_fork_signs_nothing_more_at_that_height` |
//! | delete_hides_the_last_put_alone | `a_key_that_was_put_twice_and_then_deleted_stays_away_when_tables_are_merged` |
//! | coins_of_an_address_not_summed | `what_one_transaction_spends_of_an_address_is_the_sum_of_its_coins` |
//! | block_proved_by_another_set | `a_block_makes_no_proof_with_another_blocks_commit_or_another_epochs_set` |
//! | payloads_found_by_their_number | `what_stands_among_payments_takes_effect_like_what_stands_alone` |
//! | final_votes_wait_for_blocks | `what_was_held_while_blocks_lag_says_its_final_votes_at_once_and_its_locks_later` |
//! | page_begins_before_its_prefix | `every_store_goes_on_behind_the_last_key_of_a_page` |
//! | known_contradictions_told_again | `further_contradictions_of_one_masternode_that_are_seen_here_are_not_told` |
//! | votes_after_a_start_at_a_closing_height | `who_starts_at_a_closing_height_votes_for_nothing_before_the_next_epoch` |
//! | steps_on_while_a_fetched_block_is_written | `nothing_is_voted_at_a_height_whose_block_was_fetched_and_is_being_written` |
//! | fork_sought_at_the_own_tip | `who_is_behind_on_another_chain_is_asked_for_the_block_at_its_own_tip` |
//! | strangers_vote_ends_a_certificate | `a_certificate_counts_by_its_members_votes_whoever_stands_among_them` |
//! | first_file_alone_is_judged | `no_blocks_are_looked_at_in_a_log_whichever_of_its_files_is_damaged` |
//! | peers_wait_in_the_bytes_of_users | `bodies_of_peers_wait_up_to_the_bytes_of_their_queue_and_no_further` |
//! | begun_copy_is_gone_on_with | `a_cut_that_is_interrupted_at_any_step_is_done_by_the_next_one` |
//! | signatures_held_ahead_though_they_failed | `a_signature_that_was_held_ahead_is_not_checked_again_and_every_other_one_is` |
//! | spent_by_a_block_that_is_written_unseen | `what_a_block_that_is_being_written_spends_is_spent` |
//! | blocks_follow_one_after_which_the_epoch_closes | `nothing_is_put_behind_a_block_after_which_the_epoch_closes_or_that_ends_it` |
//! | later_spend_forgotten_with_an_earlier_block | `what_is_spent_stays_spent_while_an_earlier_block_becomes_the_tip` |
//! | votes_after_another_part_failed | `what_waits_when_another_part_has_failed_is_neither_written_nor_sent_and_makes_room` |
//! | node_starts_on_a_full_disk | `with_less_room_than_configured_nothing_starts_and_the_path_and_the_way_out_are_named` |
//! | fuller_disk_overlooked | `a_part_of_the_data_on_a_fuller_disk_is_the_one_that_counts` |
//! | stop_waits_for_the_whole_index | `what_is_not_applied_in_time_is_left_to_the_next_start` |
//! | bans_believed_without_their_hash | `any_wrong_bit_is_noticed` |
//! | copy_with_a_gap_takes_the_indexs_place | `a_copy_that_was_stopped_goes_on_where_it_was_unless_the_index_has_changed_or_the_copy_has` |
//! | strange_ids_are_never_answered | `an_entry_of_a_batch_is_silent_only_without_an_id` |
//! | frames_of_a_message_counted_alone | `a_message_ends_before_the_frame_that_makes_it_too_large` |
//! | a_syncs_payments_counted_as_new | `a_minute_counts_payments_by_second_and_forgets_older_ones` |
//! | rules_without_a_quorum | `a_version_that_a_quorum_announced_is_in_force_one_whole_epoch_after_it_became_pending` |
//! | pending_rules_need_no_quorum | `a_pending_version_is_withdrawn_when_a_set_on_either_side_lacks_a_quorum_that_knows_it` |
//! | announcements_outlive_their_member | `only_members_are_remembered_and_only_what_is_not_in_force` |
//! | rules_of_a_header_unchecked | `a_header_names_the_rules_in_force_and_announces_no_less` |
//! | announcement_not_noted | `rules_that_a_quorum_announced_are_in_force_after_one_whole_epoch_of_warning` |
//! | rules_left_out_of_the_digest | `rules_that_a_quorum_announced_are_in_force_after_one_whole_epoch_of_warning` |
//! | new_rules_held_before_their_time | `dust_is_refused_from_the_first_block_under_the_rules_that_forbid_it` |
//! | outdated_program_goes_on | `a_program_that_does_not_know_the_rules_in_force_stops_behind_the_block_before_them` |
//! | outdated_program_opens_the_chain | `a_program_that_does_not_know_the_rules_in_force_does_not_open_the_chain` |
//! | newest_version_of_either_side | `both_ends_agree_on_the_newest_version_that_both_speak` |
//! | kinds_of_later_versions_sent | `a_message_that_the_agreed_version_lacks_is_not_sent` |
//! | snapshot_sum_unchecked | `every_part_of_a_manifest_counts` |
//! | copies_of_an_output_in_a_chunk | `a_manifest_can_not_hide_copies` |
//! | files_removed_before_the_horizon_says_so | `a_crash_at_any_step_of_pruning_leaves_a_log_that_opens_and_no_block_from_the_horizon_on_is_lost` |
//! | later_outputs_in_a_snapshot | `a_node_that_begins_with_a_snapshot_of_any_epoch_is_where_all_others_are` |
//! | false_chunk_taken | `chunks_that_are_here_and_hold_are_not_fetched_again` |
//! | liar_is_asked_again | `a_liar_wastes_what_it_was_asked_for_at_once` |
//! | chunks_of_any_size | `a_manifest_names_no_chunk_that_is_larger_than_one_may_be` |
//! | output_in_two_chunks | `no_output_is_in_two_chunks_whatever_the_manifest_says` |
//! | past_epochs_in_any_order | `past_epochs_are_held_to_their_order_and_none_comes_twice` |
//! | late_evidence_is_blamed | `who_is_late_with_evidence_is_not_to_blame` |
//! | liar_takes_the_jails_room | `a_liar_who_was_absent_too_is_jailed_for_good_and_takes_nobodys_room` |
//! | proposals_long_past_kept | `a_proposal_of_a_round_long_past_is_kept_only_if_votes_demand_its_block` |
//! | votes_for_later_blocks_unbounded | `votes_for_blocks_that_are_first_proposed_later_are_bounded_like_those_for_unknown_ones` |
//! | certified_bytes_unbounded | `locks_wait_while_too_many_certified_bytes_wait_for_blocks` |
//! | certified_waits_on | `what_others_have_certified_waits_for_nothing_any_more` |
//! | final_votes_ask_for_no_body | `a_body_is_asked_for_beyond_a_third_of_the_final_votes_alone` |
//! | rivals_of_any_number | `each_list_has_its_bound` |
//! | acknowledgements_of_any_number | `each_list_has_its_bound` |
//! | blocks_counted_one_by_one | `there_are_no_more_transactions_than_could_be_valid_in_the_bytes_of_a_message` |
//! | batch_of_another_count | `a_batch_with_another_number_of_votes_than_its_header_says_is_noticed` |
//! | tier_without_weight | `each_bound_of_a_parameter_is_held_and_may_be_reached` |
//! | payout_of_another_network | `each_rule_is_held` |
//! | judged_without_a_place | `whoever_waits_for_an_answer_has_a_place_at_the_door_until_it_has_come` |
//! | place_given_back_at_once | `whoever_waits_for_an_answer_has_a_place_at_the_door_until_it_has_come` |
//! | submissions_wake_nobody | `whatever_is_handed_in_wakes_the_thread` |
//! | any_body_holds_up_a_proposal | `a_proposer_waits_for_the_bodies_of_what_is_certified_and_for_no_others` |
//! | second_proof_of_lock_overlooked | `one_block_proposed_by_two_proofs_of_lock_is_a_contradiction_and_either_may_be_answered` |
//! | ranges_of_any_number | `numbers_are_remembered_in_so_many_ranges_and_the_lowest_are_forgotten` |
//! | expired_child_waits_on | `a_child_whose_time_is_up_does_not_wait_on_for_a_parent_that_is_certified` |
//! | fees_take_no_room | `minting_stops_at_64_bits_and_blocks_go_on` |
//! | unbound_block_costs_signatures | `a_block_that_its_header_does_not_bind_or_that_is_of_elsewhere_costs_hashes_only` |
//! | few_bytes_claim_much | `nothing_claims_more_than_eight_times_its_bytes` |
//! | unlocked_bodies_of_any_number | `no_more_bodies_than_there_are_places_for_are_kept_unlocked` |
//! | all_doors_decrease_together | `nodes_that_see_the_same_delays_do_not_decrease_together` |
//! | followed_beyond_the_window | `no_more_are_followed_than_the_largest_window_has_places` |
//! | votes_given_without_a_quorum | `certificates_and_proofs_are_given_of_a_quorum_only` |
//! | certificate_given_without_a_quorum | `certificates_and_proofs_are_given_of_a_quorum_only` |
//! | finality_proved_without_a_quorum | `certificates_and_proofs_are_given_of_a_quorum_only` |
//! | same_bytes_checked_each_time | `the_same_bytes_in_one_turn_are_checked_once` |
//! | locked_one_stays_as_it_was | `what_is_locked_can_be_voted_on_whatever_was_in_its_way` |
//! | fork_of_two_rounds_accuses | `a_fork_accuses_who_signed_both_blocks_in_one_round_and_nobody_else` |
//! | offers_of_the_excluded_count | `who_gave_something_false_is_asked_for_nothing_more_and_others_give_it` |
//! | who_left_a_plan_comes_back | `who_was_false_late_or_gone_too_often_is_not_asked_again_though_it_offers_the_same_anew` |
//! | fetch_stalled_for_ever | `a_snapshot_that_only_ever_new_peers_offer_and_none_gives_is_given_up` |
//! | late_peers_are_asked_for_other_snapshots | `who_was_late_is_not_asked_for_another_snapshot_either` |
//! | proof_of_any_block_of_the_chain_taken | `a_proof_of_another_block_of_the_chain_is_as_good_as_none` |
//! | failures_without_a_bound | `so_many_failures_and_no_more_keep_a_node_from_its_first_block` |
//! | offers_waited_for_again_and_again | `offers_that_come_again_and_again_are_not_waited_for` |
//! | body_of_a_proved_block_unbound | `a_block_is_taken_with_just_what_its_proved_header_binds_and_a_quorum_signed` |
//! | commit_of_a_fetched_block_unchecked | `a_block_is_taken_with_just_what_its_proved_header_binds_and_a_quorum_signed` |
//! | anchored_proof_given_to_anybody | `whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none` |
//! | proof_of_another_question_given | `whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none` |
//! | damaged_snapshot_hides_others | `all_whole_snapshots_are_offered_the_newest_first_and_a_damaged_one_hides_no_other` |
//! | left_out_up_to_the_newest_snapshot | `as_many_snapshots_are_kept_as_configured_and_no_block_from_the_oldest_on_is_left_out` |
//! | snapshots_made_while_catching_up | `snapshots_are_made_after_new_blocks_that_end_epochs_which_are_due_and_one_at_a_time` |
//! | parts_larger_than_messages | `a_part_may_be_as_large_as_a_message_and_a_larger_one_is_not_read` |
//! | block_that_was_never_executed_given | `peers_are_given_no_block_that_was_never_executed_here`, `the_block_that_a_log_begins_with_is_shown_only_if_it_is_the_chains_first` |
//! | left_out_while_read_taken_for_damage | `a_block_that_is_left_out_while_it_is_read_is_not_there_and_no_damage` |
//! | filling_of_an_index_not_durable_first | `that_an_index_is_being_filled_is_durable_before_anything_of_it_is_written` |
//! | places_forgotten_before_the_horizon | `a_horizon_that_could_not_be_written_leaves_out_nothing` |
//! | pruned_files_left_at_open | `files_of_pruned_blocks_that_a_crash_left_are_gone_with_the_next_open` |
//! | outputs_of_a_snapshot_gather | `outputs_are_written_as_they_come_and_do_not_gather_in_memory` |
//! | second_asked_who_lacks_the_range | `who_has_a_part_of_a_range_alone_is_asked_for_that_part` |
//! | who_has_left_is_proven | `blocks_of_a_peer_that_has_left_prove_nothing_of_who_comes_back` |
//! | signatures_ahead_without_a_bound | `no_more_signatures_of_an_answer_are_checked_ahead_than_are_held` |
//! | names_of_a_later_question_kept | `a_set_that_was_there_before_is_proved_like_any_other` |
//! | snapshots_of_blocks_outside_the_log_taken | `of_all_snapshots_the_newest_one_whose_block_is_in_the_log_is_taken` |
//! | half_a_snapshot_begun_with | `a_snapshot_that_is_not_whole_is_passed_over_for_an_older_one` |
//! | indexed_behind_a_gap_at_a_stop | `once_a_stop_has_left_a_block_out_of_the_index_all_that_follow_are_left_out` |
//! | questions_for_parts_without_a_bound | `of_each_kind_of_question_so_many_wait_for_a_peer_and_no_more` |
//! | parts_of_snapshots_unpaid | `parts_of_snapshots_are_paid_for_and_what_is_not_here_is_said_to_be_missing` |
//! | stopped_removals_left_at_open | `what_a_stopped_removal_left_is_gone_with_the_next_open` |
//! | unknown_rules_begun_with | `a_chain_that_has_gone_on_to_unknown_rules_is_not_begun_with` |
//! | index_goes_on_behind_a_failed_log | `a_log_that_failed_is_told_before_the_index_ends_which_takes_no_more_than_what_is_under_way` |
//! | what_is_larger_than_an_answer_never_sent | `what_is_larger_than_an_answer_is_sent_alone` |
//! | cut_before_the_copys_name_is_durable | `a_cut_that_is_interrupted_at_any_step_is_done_by_the_next_one` |
//! | foreign_header_not_compared | `who_precommits_a_block_that_was_not_decided_on_is_not_accused` |
//! | precommit_for_another_header_accuses | `who_precommits_a_block_that_was_not_decided_on_is_not_accused` |
//! | forged_links_name_the_accused | `who_signs_a_forged_link_is_accused_by_the_chain_that_is_there` |
//! | searches_cost_nothing | `the_thread_charges_who_asks_for_proofs_with_the_time_that_they_take` |
//! | searches_of_many_unbounded | `searches_for_strangers_take_no_more_than_their_share_of_the_time` |
//! | proofs_kept_without_bound | `proofs_are_remembered_within_their_bytes_the_one_asked_for_last_the_longest` |
//! | later_blocks_backed_up_alone | `blocks_that_begin_later_are_not_backed_up_without_a_whole_snapshot_of_one_of_them` |
//! | restored_snapshot_of_other_blocks | `a_snapshot_in_a_backup_is_held_to_its_blocks` |
//! | note_of_another_log_counts | `what_an_earlier_check_has_seen_hides_no_damage_and_counts_for_no_other_log` |
//! | abandoned_key_stays_taken | `the_last_announcement_counts_and_frees_the_one_before` |
//! | jail_begins_anew_with_evidence | `a_jail_sentence_does_not_start_anew` |
//! | trials_by_weight_before_turns | `turns_come_before_weight_among_those_who_wait_for_a_trial` |
//! | two_proofs_of_one_block_are_no_contradiction | `each_kind_of_contradiction_holds` |
//! | copy_that_a_third_voted_for_not_asked_for_again | `when_the_copy_that_was_kept_turns_out_bad_another_is_asked_for_if_votes_name_it` |
//! | bodies_behind_a_precommit_not_written | `the_bodies_of_a_block_are_durable_before_the_precommit_for_it` |
//! | failed_peer_still_proven | `who_failed_once_has_to_deliver_again_before_its_height_is_believed` |
//! | answers_to_all_without_a_bound | `no_more_answers_wait_for_everybody_than_may` |
//! | candidates_outlive_their_height | `what_a_proposal_lacked_is_not_asked_for_when_its_height_is_over` |
//! | chunk_not_held_to_its_manifest | `a_snapshot_of_another_block_or_a_changed_one_builds_no_index` |
//! | tail_synced_only_when_cut | `what_an_open_serves_is_durable_even_if_the_killed_process_never_synced_it` |
//! | failed_rotation_forgotten | `released_records_survive_a_crash_at_every_operation` |
//! | file_before_a_half_made_one_may_be_torn | `an_incomplete_end_is_told_and_is_no_problem_unless_something_follows` |
//! | any_number_of_files_kept_open | `readers_keep_so_many_files_open_and_read_all` |
//! | parts_go_before_their_manifest_is_gone | `a_crash_at_any_step_leaves_a_whole_snapshot_or_none` |
//! | child_sent_on_is_not_announced | `what_lacks_votes_is_announced_by_its_entry_node_until_it_is_certified` |
//! | who_begins_to_wait_looks_no_more | `a_childs_parent_that_is_final_or_gone_before_the_child_waits_is_noticed` |
//! | contested_outputs_without_a_bound | `only_few_improvements_of_an_output_pass_in_an_epoch` |
//! | idle_while_peers_wait | `nobody_rests_while_something_waits_in_any_lane` |
//! | greatest_fee_of_a_child_ignored | `a_fee_above_the_bound_of_who_sends_it_is_refused_and_holds_no_coin` |
//! | who_has_a_snapshot_no_more_is_blamed | `a_snapshot_that_has_gone_everywhere_is_left_for_a_newer_one_and_nobody_is_blamed` |
//! | newer_snapshots_not_asked_for | `a_snapshot_that_has_gone_everywhere_is_left_for_a_newer_one_and_nobody_is_blamed` |
//! | room_of_a_write_given_back_before_it | `what_is_being_written_takes_its_room_until_it_is_on_disk` |
//! | visitor_stays_by_coming_again | `a_visitor_gets_no_place_by_coming_again_nor_by_what_leaves_meanwhile` |
//! | visitor_makes_room_as_if_it_had_a_place | `a_visitor_gets_no_place_by_coming_again_nor_by_what_leaves_meanwhile` |
//! | taken_back_though_the_chain_names_it | `what_the_chain_names_stays_when_the_operator_takes_it_back` |
//! | demand_counts_a_voter_twice | `whoever_votes_for_a_block_in_both_steps_demands_it_with_its_weight_once` |
//! | decided_height_keeps_all_votes | `of_a_decided_height_only_votes_that_complete_the_commit_are_kept` |
//! | settled_lock_is_lost_in_a_restart | `a_restart_keeps_the_locks_of_what_a_block_has_taken` |
//! | trial_for_one_without_a_seat | `whoever_is_too_light_for_a_seat_takes_no_trial_from_one_that_is_not` |
//! | locks_wait_twice_after_a_hold | `a_lock_waits_for_blocks_once_however_often_votes_are_held` |
//! | replay_marks_only_at_its_end | `a_long_replay_is_marked_on_its_way` |
//! | committing_blocks_of_any_size | `no_block_follows_while_the_payments_on_their_way_are_many` |
//! | numbers_of_later_epochs_forgotten | `the_numbers_of_its_batches_go_on_in_an_epoch_that_comes_back` |
//! | interval_grows_without_end | `the_interval_grows_four_times_and_no_further` |
//! | more_certificates_asked_for_than_fit | `all_certificates_of_a_question_fit_into_its_answer` |
//! | horizon_appended_to_what_was_left | `a_horizon_that_is_written_at_the_second_attempt_is_read_at_the_next_start` |
//! | pages_looked_up_in_the_store_first | `what_moves_into_the_store_while_a_page_is_read_is_on_the_page` |
//! | segments_of_another_journal | `a_segment_of_another_journal_of_the_same_key_is_damage` |
//! | heads_only_of_the_first_page | `the_heads_of_any_number_of_epochs_are_named_once_each` |
//! | import_in_one_piece | `no_more_than_a_part_of_the_records_is_in_memory_at_a_time` |
//! | child_of_a_held_coin_waits | `no_users_child_waits_that_spends_a_held_coin_beside_its_parents_output` |
//! | orphan_forgets_it_was_asked_for | `an_orphan_that_was_asked_for_meanwhile_passes_whatever_the_pool_says` |
//! | stranger_makes_a_thousand_reads | `a_strangers_many_inputs_that_nobody_knows_cost_few_reads` |
//! | user_sends_again_in_vain | `what_a_user_sends_again_is_handed_to_the_machine_again_unless_it_waits` |
//! | holder_stays_pending_in_the_pool | `whoever_holds_a_contested_coin_makes_room_like_its_rival` |
//! | orphan_kept_without_a_second_look | `an_orphans_parent_that_is_final_before_the_orphan_is_kept_is_noticed` |
//! | members_need_a_free_outbound_place | `members_that_a_masternode_dials_come_beside_its_outbound_places` |
//! | signatures_of_the_tips_epoch_alone_ahead | `the_blocks_of_later_epochs_are_checked_ahead_while_their_headers_name_the_same_set` |
//! | ready_before_a_peer_has_shown_its_lead | `whether_peers_are_further_is_known_once_they_showed_it_or_failed_to` |
//! | addresses_of_a_snapshot_in_any_order | `records_and_addresses_come_to_the_store_each_in_the_order_of_their_keys` |
//! | known_block_proposed_without_a_bound | `a_block_that_votes_demand_is_kept_no_more_often_than_any_other` |
//! | block_proved_by_a_round_before_its_own | `no_block_is_proved_by_a_round_before_its_own` |
//! | copies_of_a_parent_name_no_owner | `a_copy_is_held_to_the_owner_whom_a_parent_names_that_is_no_body_yet` |
//! | answer_of_somebody_else_taken | `blocks_are_taken_of_whom_they_were_asked_alone` |
//! | unasked_block_moves_the_search | `a_block_of_another_chain_that_was_not_asked_for_is_not_looked_at` |
//! | first_place_of_a_body_remembered | `a_body_that_was_written_again_outlives_the_segment_that_had_it_first` |
//! | mark_told_before_it_is_there | `a_failure_is_reported_once_and_turns_submitters_away` |
//! | headerless_journal_found_whole | `check_and_open_agree_on_a_file_without_a_whole_header_whatever_stands_before_it` |
//! | manifest_before_the_names_of_the_parts | `the_names_of_all_parts_are_durable_before_the_manifest_has_its_own` |
//! | rivals_that_were_asked_for_take_a_place | `a_rival_that_was_asked_for_takes_no_place_of_the_pool` |
//! | late_ones_of_long_ago_close_the_door | `what_was_not_final_in_time_counts_no_more_once_something_was` |
//! | forged_rivals_use_up_the_turns | `forged_rivals_leave_a_signed_one_its_turn` |
//! | who_speaks_is_asked_for_batches | `peers_that_claim_batches_without_end_keep_no_other_one_from_being_asked` |
//! | silent_peer_keeps_batches_from_others | `batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent` |
//! | silent_peer_is_not_passed_over | `batches_are_asked_of_one_peer_at_a_time_and_of_another_when_it_is_silent` |
//! | oldest_unfinished_asked_for_again | `certificates_of_all_that_is_not_final_are_asked_for_in_turns` |
//! | slashed_members_contradictions_proved | `contradictions_of_one_member_are_proved_once` |
//! | oldest_instance_acknowledged | `members_with_many_instances_leave_a_place_for_each_other_one` |
//! | full_store_asks_for_nothing | `what_everything_waits_for_is_asked_for_and_taken_though_the_store_is_full` |
//! | leavers_blocks_keep_their_room | `blocks_of_a_peer_that_never_delivered_go_with_it` |
//! | newcomers_are_asked_for_blocks_first | `silent_peers_that_hold_all_ranges_cost_a_moment_and_newcomers_come_last` |
//! | votes_of_a_round_pushed_at_each_word | `a_peer_that_says_again_and_again_that_it_lacks_the_round_is_sent_it_once_in_a_while` |
//! | proposal_pushed_with_the_votes | `a_peer_that_says_again_and_again_that_it_lacks_the_round_is_sent_it_once_in_a_while` |
//! | all_ready_orphans_looked_at_at_once | `orphans_of_one_output_are_looked_at_some_at_a_time` |
//! | strangers_answered_like_members | `strangers_have_one_turn_together_and_each_member_has_its_own` |
//! | key_that_can_not_be_read_holds | `what_a_node_would_end_for_is_said_with_its_key` |
//! | copies_use_up_the_pace_of_missing_votes | `copies_of_old_batches_leave_room_for_those_that_are_missing` |
//! | slow_peer_taken_for_silent | `who_is_slow_is_not_taken_for_silent` |
//! | first_contradiction_hides_others | `a_contradiction_that_can_not_be_proved_hides_none_that_can` |
//! | later_blocks_keep_earlier_ones_out | `what_everything_waits_for_is_asked_for_and_taken_though_the_store_is_full` |
//! | ready_orphans_leave_their_share | `what_is_ready_counts_in_its_senders_share_until_it_is_taken` |
//! | turns_over_all_members | `peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them` |
//! | empty_answers_keep_the_turn | `peers_that_claim_one_members_batches_alone_keep_nobody_from_being_asked_for_them` |
//! | turn_without_end | `who_gives_little_by_little_has_its_turn_and_no_more` |
//! | empty_words_waited_for | `a_word_that_was_found_empty_is_not_waited_for` |
//! | late_answer_of_a_silent_peer_unheard | `who_is_slow_is_not_taken_for_silent` |
//! | strangers_line_without_a_turn | `a_member_that_becomes_a_stranger_while_it_waits_holds_up_nobody` |
//! | all_members_looked_at_with_each_event | `members_with_many_instances_leave_a_place_for_each_other_one` |
//! | promises_sent_whatever_ends | `the_end_of_an_epoch_that_is_not_closing_brings_nobodys_promises` |
//! | promises_sent_with_each_block | `promises_that_were_left_out_are_sent_once_each_and_in_parts` |
//! | who_has_most_is_asked_alone | `a_height_that_one_peer_claims_leaves_the_others_their_turns` |
//! | rivals_of_one_message_all_passed_on | `few_of_many_conflicting_spends_are_passed_on_and_none_takes_a_place` |
//! | one_turn_for_all_kinds_of_requests | `each_peer_has_its_turn_to_be_asked` |
//! | answers_to_whoever_asks_again | `who_asks_without_end_is_answered_once_in_a_while` |
//! | forgotten_numbers_stand_at_the_tip | `a_number_that_the_ring_has_forgotten_stands_before_all_blocks_of_this_life` |
//! | no_proof_today_is_none_tomorrow | `whoever_asks_gets_a_proof_from_the_block_that_it_trusts_or_none` |
//! | offers_told_apart_by_their_size | `what_somebody_says_of_its_size_makes_it_no_other_snapshot` |
//! | who_was_dialled_comes_in_anyhow | `who_was_dialled_comes_in_only_where_a_newcomer_would` |
//! | a_byte_now_and_then_is_progress | `who_takes_a_byte_now_and_then_stalls_as_who_takes_none` |
//! | answers_to_who_takes_none | `who_has_not_taken_its_last_answer_waits_for_the_next_one_and_nobody_else_does` |
//! | replaced_index_never_taken_back | `an_index_whose_successor_did_not_come_is_taken_back` |
//! | everybody_comes_in_while_a_snapshot_is_fetched | `while_a_snapshot_is_fetched_nobody_comes_in` |
//! | a_starting_node_has_methods | `a_node_that_starts_says_how_far_it_is_and_answers_once_it_serves` |
//! | senders_that_are_gone_keep_the_store_full | `orphans_of_all_senders_together_are_bounded` |
//! | a_turn_counts_messages | `a_turn_takes_what_was_asked_for_first_and_shares_the_rest` |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a failed expectation is a test's verdict"
)]

#[path = "mutants/list.rs"]
mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use list::{MUTANTS, Mutant};

/// A build that takes longer than this hangs.
const BUILD_PATIENCE: Duration = Duration::from_secs(3_600);
/// Tests that take longer than this hang.
const TEST_PATIENCE: Duration = Duration::from_secs(300);

/// The copy of the crate, with a target folder of its own.
struct Laboratory {
    crate_dir: PathBuf,
    target_dir: PathBuf,
    output: PathBuf,
}

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    /// The tests that failed.
    Failed(BTreeSet<String>),
    Hung,
    /// It ended otherwise: a build error, or a test runner that died.
    Broken,
}

impl Laboratory {
    /// Copies what git tracks. Files that are the same already keep their times, so that nothing is built anew for them.
    fn new() -> Self {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
        let (crate_dir, target_dir) = (home.join("crate"), home.join("target"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let listed =
            Command::new("git").current_dir(source).args(["ls-files", "-z"]).output().expect("git runs");
        assert!(listed.status.success(), "git lists the crate's files");
        let listed = String::from_utf8(listed.stdout).expect("names are text");
        let mut wanted = BTreeSet::new();
        for name in listed.split_terminator('\0') {
            let Ok(content) = fs::read(source.join(name)) else { continue };
            let to = crate_dir.join(name);
            if fs::read(&to).ok().as_ref() != Some(&content) {
                fs::create_dir_all(to.parent().expect("below the crate")).expect("made");
                fs::write(&to, content).expect("written");
            }
            wanted.insert(to);
        }
        remove_others(&crate_dir, &wanted);
        Self { output: home.join("output.txt"), crate_dir, target_dir }
    }

    /// `cargo test` with these words; what it says goes to a file, so that no pipe fills up.
    fn cargo(&self, words: &[&str], patience: Duration) -> (Outcome, String) {
        let output = File::create(&self.output).expect("made");
        let mut child = Command::new(env!("CARGO"))
            .current_dir(&self.crate_dir)
            .args(["test", "--locked"])
            .args(words)
            .env("CARGO_TARGET_DIR", &self.target_dir)
            // A planted bug is built once and run for a moment.
            .env("CARGO_PROFILE_DEV_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "false")
            .env_remove("MUTANTS")
            .stdin(Stdio::null())
            .stderr(output.try_clone().expect("a second handle"))
            .stdout(output)
            .spawn()
            .expect("cargo runs");
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("waited for") {
                break Some(status);
            }
            if started.elapsed() > patience {
                child.kill().expect("killed");
                child.wait().expect("waited for");
                break None;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let text = String::from_utf8_lossy(&fs::read(&self.output).expect("read")).into_owned();
        let failed: BTreeSet<String> = text
            .lines()
            .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
            .map(str::to_owned)
            .collect();
        let outcome = match status {
            None => Outcome::Hung,
            Some(status) if status.success() => Outcome::Passed,
            Some(_) if !failed.is_empty() => Outcome::Failed(failed),
            Some(_) => Outcome::Broken,
        };
        (outcome, text)
    }

    /// Builds and runs tests, given by their target and name.
    fn run(&self, tests: &[&str]) -> (Outcome, String) {
        let mut by_target: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for test in tests {
            let (target, name) = split(test);
            by_target.entry(target).or_default().push(name);
        }
        let mut failed = BTreeSet::new();
        let mut said = String::new();
        for (target, names) in by_target {
            let target: Vec<&str> = target.split(' ').collect();
            let (built, text) = self.cargo(&[target.as_slice(), &["--no-run"]].concat(), BUILD_PATIENCE);
            if built != Outcome::Passed {
                return (Outcome::Broken, text);
            }
            let words = [target.as_slice(), &["--", "--exact"], names.as_slice()].concat();
            let (outcome, text) = self.cargo(&words, TEST_PATIENCE);
            said.push_str(&text);
            match outcome {
                Outcome::Passed => {
                    assert!(
                        text.contains(&format!("running {} test", names.len())),
                        "all are there:\n{text}"
                    );
                }
                Outcome::Failed(some) => failed.extend(some),
                Outcome::Hung | Outcome::Broken => return (outcome, said),
            }
        }
        (if failed.is_empty() { Outcome::Passed } else { Outcome::Failed(failed) }, said)
    }

    /// Plants a bug, runs its tests, and takes it out again.
    fn try_mutant(&self, mutant: &Mutant) -> (Outcome, String) {
        let path = self.crate_dir.join(mutant.file);
        let sound = fs::read_to_string(&path).expect("read");
        fs::write(&path, sound.replacen(mutant.old, mutant.new, 1)).expect("written");
        let result = self.run(mutant.caught_by);
        fs::write(&path, sound).expect("written");
        result
    }
}

/// A test's target, as cargo wants it, and its name.
fn split(test: &str) -> (&str, &str) {
    test.rsplit_once(' ').expect("a target and a name")
}

fn remove_others(dir: &Path, wanted: &BTreeSet<PathBuf>) {
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            remove_others(&path, wanted);
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).expect("removed");
        }
    }
}

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_else(|_| panic!("{file}"))
}

/// All Rust sources below a folder.
fn sources(dir: &Path, into: &mut String) {
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).expect("read"));
        }
    }
}

#[test]
fn the_list_fits_the_sources() {
    assert!(MUTANTS.len() >= 20, "there are {}", MUTANTS.len());
    let names: BTreeSet<&str> = MUTANTS.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names.len(), MUTANTS.len(), "names are distinct");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = String::new();
    sources(&root.join("src"), &mut all);
    sources(&root.join("tests"), &mut all);
    let head = read("tests/mutants.rs");
    for Mutant { name, file, old, new, caught_by } in MUTANTS {
        assert_eq!(read(file).matches(old).count(), 1, "{name}: what it replaces is in {file} once");
        assert_ne!(old, new, "{name}");
        assert!(!caught_by.is_empty(), "{name}");
        assert!(head.contains(&format!("//! | {name} |")), "{name} is in the table above");
        for test in *caught_by {
            let function = split(test).1.rsplit("::").next().expect("a name");
            assert!(all.contains(&format!("fn {function}(")), "{name}: there is no test {function}");
            assert!(head.contains(function), "{name}: the table above says that {function} catches it");
        }
    }
}

#[test]
fn mutants() {
    let Ok(asked) = std::env::var("MUTANTS") else { return };
    let chosen: Vec<&Mutant> = match asked.as_str() {
        "1" => MUTANTS.iter().collect(),
        names => {
            let find = |name| MUTANTS.iter().find(|mutant| mutant.name == name);
            names.split(',').map(|name| find(name).unwrap_or_else(|| panic!("no mutant {name}"))).collect()
        }
    };
    let laboratory = Laboratory::new();
    let tests: BTreeSet<&str> = chosen.iter().flat_map(|mutant| mutant.caught_by).copied().collect();
    let tests: Vec<&str> = tests.into_iter().collect();
    let started = Instant::now();
    let (outcome, said) = laboratory.run(&tests);
    assert_eq!(outcome, Outcome::Passed, "without a planted bug all tests pass:\n{said}");
    println!("{} tests pass without a planted bug ({:.0} s)", tests.len(), started.elapsed().as_secs_f64());
    let mut survivors = Vec::new();
    for mutant in &chosen {
        let started = Instant::now();
        let (outcome, said) = laboratory.try_mutant(mutant);
        let seconds = started.elapsed().as_secs_f64();
        let verdict = match &outcome {
            Outcome::Failed(failed) => {
                format!("caught by {}", failed.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
            }
            Outcome::Passed => "SURVIVED".to_owned(),
            Outcome::Hung => "SURVIVED: its tests hang".to_owned(),
            Outcome::Broken => format!("SURVIVED: it does not build, or its tests die\n{said}"),
        };
        println!("{}: {verdict} ({seconds:.0} s)", mutant.name);
        if !matches!(outcome, Outcome::Failed(_)) {
            survivors.push(mutant.name);
        }
    }
    assert!(survivors.is_empty(), "nobody caught {survivors:?}");
    println!("{} of {} caught", chosen.len(), chosen.len());
}
