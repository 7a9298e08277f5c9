"""Faults 1 to 55 of the catalogue (card, certificates, references, sensors), and their tests.

What each one is, and the tests' ids as pytest names them, without parameters. tests/test_faults.py
sees to it that they exist, and that no number is forgotten. The tunnel's are in faults_tunnel.py.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One line of the catalogue."""

    what: str
    tests: tuple[str, ...]


def fault(what: str, *tests: str) -> Fault:
    """Tests by their ids below `tests/`."""
    return Fault(what, tuple(f"tests/{test}" for test in tests))


FAULTS: dict[int, Fault] = {
    1: fault(
        "no reader, or no pcscd, at the start",
        "card/test_presence.py::test_without_pcscd_nothing_is_there",
        "card/test_pcsc.py::test_no_reader_is_told_as_such",
        "hil/test_card_faults.py::test_fault_1_a_box_that_boots_without_pcscd_waits_for_it",
    ),
    2: fault(
        "pcscd killed in a session",
        "hil/test_faults_workers.py::test_pcscd_killed_in_an_open_session_and_back",
        "card/test_pcsc.py::test_a_connection_does_not_outlive_pcscd",
    ),
    3: fault(
        "a card torn at every APDU",
        "card/test_conversation.py::test_a_card_torn_at_any_exchange_is_told_as_removed",
        "card/test_pcsc.py::test_a_card_torn_at_every_apdu_is_told_as_removed",
        "hil/test_faults_pulls.py::test_a_card_torn_at_any_command_ends_the_session",
        "hil/test_level_tears.py::test_a_card_torn_at_any_command_ends_the_session",
    ),
    4: fault(
        "a card torn as it compares a finger",
        "hil/test_level_tears.py::"
        "test_fault_4_torn_as_it_compares_card_box_and_centre_have_counted",
        "hil/test_level_tears.py::test_torn_as_it_compares_a_pin_the_card_alone_has_counted",
    ),
    5: fault(
        "a card torn as it is personalised",
        "sdbox_centre/test_personalise.py::test_fault_5_torn_at_every_command_it_goes_on",
        "sdbox_centre/test_personalise.py::test_fault_5_torn_again_and_again_it_still_ends",
        "hil/test_personalisation.py::test_fault_5_torn_from_the_reader_it_goes_on",
    ),
    6: fault(
        "a card without PIV",
        "card/test_opening.py::test_a_card_without_the_application_is_not_a_piv_card",
        "hil/test_card_refusals.py::test_a_card_without_piv_is_refused",
    ),
    7: fault(
        "a card of another authority",
        "pki/test_path.py::test_another_authority_of_the_same_name_is_refused",
        "daemon/test_trust.py::test_a_card_of_another_authority_is_not_believed",
        "hil/test_card_refusals.py::test_the_box_refuses_such_a_card_itself",
    ),
    8: fault(
        "two cards in two readers",
        "hil/test_card_refusals.py::test_two_cards_are_one_too_many",
    ),
    9: fault(
        "another card behind the same connection",
        "card/test_conversation.py::test_a_swapped_card_signs_no_receipt",
        "card/test_pcsc.py::test_a_swapped_card_is_caught",
        "hil/test_card_faults.py::test_fault_9_another_card_behind_the_same_connection",
    ),
    10: fault(
        "a mute card, a slow one",
        "card/test_service_ends.py::test_a_mute_card_is_told_to_everyone",
        "workers/test_card_silence.py::test_a_mute_card_ends_the_worker_in_time",
        "workers/test_card_process.py::test_a_mute_card_is_given_up_and_told",
        "workers/test_card_process.py::test_a_slow_card_is_waited_for",
        "hil/test_card_faults.py::"
        "test_fault_10_a_mute_card_costs_ten_seconds_and_the_next_one_nothing",
    ),
    11: fault(
        "61xx without end",
        "card/test_apdu.py::test_a_response_without_end_is_cut_off",
        "hil/test_card_faults.py::test_a_card_that_answers_so_is_refused_by_name",
    ),
    12: fault(
        "6983: blocked",
        "card/test_conversation.py::test_a_refusal_of_the_card_is_told",
        "hil/test_card_faults.py::test_a_card_that_answers_so_is_refused_by_name",
        "hil/test_levels.py::test_a_card_with_both_fingers_blocked_asks_for_none",
    ),
    13: fault(
        "63C0 to 63CF: the tries shown are never more than the centre's",
        "daemon/test_view.py::"
        "test_fault_13_no_answer_of_a_card_shows_more_tries_than_the_centre_leaves",
        "hil/test_card_faults.py::"
        "test_fault_13_a_card_that_says_it_has_fifteen_tries_is_not_shown_them",
        "hil/test_levels.py::test_a_strangers_finger_is_counted_three_times_over",
    ),
    14: fault(
        "6982 from 9D",
        "card/test_conversation.py::test_every_failed_unwrap_looks_the_same",
        "hil/test_card_refusals.py::"
        "test_a_card_that_wants_a_pin_opens_nothing_where_no_pin_is_asked",
    ),
    15: fault(
        "no certificate there, or one that inflates for ever",
        "card/test_opening.py::test_a_card_lacks_no_other_object",
        "card/test_piv.py::test_a_bomb_is_not_blown_up",
        "hil/test_card_faults.py::test_a_card_that_answers_so_is_refused_by_name",
    ),
    16: fault(
        "malformed BER-TLV",
        "card/test_tlv.py::test_other_forms_are_refused",
        "card/test_tlv.py::test_the_number_of_objects_is_bounded",
        "card/test_pcsc.py::test_a_bad_card_is_told",
        "hil/test_card_faults.py::test_a_card_that_answers_so_is_refused_by_name",
    ),
    17: fault(
        "any answers at all",
        "fuzz/fuzz_card_apdu.py::target",
        "card/test_conversation.py::test_any_answers_end_in_a_face_or_an_error",
    ),
    18: fault(
        "a copied certificate over another key",
        "card/test_conversation.py::test_a_clone_signs_nothing_that_is_accepted",
        "hil/test_card_refusals.py::test_a_copy_of_a_card_has_other_keys",
        "hil/test_card_refusals.py::test_a_card_with_another_9a_key_signs_no_receipt",
    ),
    19: fault(
        "the CHUID's day is over",
        "pki/test_path.py::test_the_chuid_holds_to_the_end_of_its_day",
        "hil/test_card_refusals.py::test_the_chuids_date_counts_too",
    ),
    20: fault(
        "out and in again within 200 ms",
        "card/test_presence.py::test_a_card_that_was_out_between_two_looks_is_a_new_one",
        "session/test_dialogues.py::"
        "test_a_card_pulled_and_put_back_while_closing_begins_a_new_session",
        "hil/test_card_faults.py::test_fault_20_out_and_in_again_at_once_is_another_session",
    ),
    21: fault("expired", "pki/test_path.py::test_each_certificate_may_expire"),
    22: fault("not yet valid", "pki/test_path.py::test_each_certificate_may_be_not_yet_valid"),
    23: fault("revoked", "pki/test_path.py::test_each_certificate_may_be_revoked"),
    24: fault(
        "a list that is over",
        "pki/test_revocation.py::test_no_grace_after_next_update",
        "pki/test_path.py::test_lists_stale_missing_forged_or_malformed_open_nothing",
    ),
    25: fault(
        "no newer list to be had",
        "daemon/test_trust.py::test_the_list_at_hand_holds_as_long_as_it_lasts",
        "pki/test_revocation.py::test_a_list_that_is_over_still_revokes",
    ),
    26: fault(
        "a forged list, a list of before",
        "pki/test_revocation.py::test_a_list_of_a_namesake_is_refused",
        "pki/test_revocation.py::test_a_lower_number_is_a_rollback",
        "daemon/test_trust.py::test_a_list_with_a_lower_number_is_refused_and_the_newer_kept",
    ),
    27: fault(
        "addresses in a certificate: the box asks nobody",
        "pki/test_one_form.py::test_fault_27_no_address_in_a_certificate_is_ever_asked",
    ),
    28: fault(
        "a forged authority of the same name",
        "pki/test_path.py::test_another_authority_of_the_same_name_is_refused",
        "pki/test_reference.py::test_nobody_but_a_desk_signs",
    ),
    29: fault(
        "wrong usage, extended usage or policy",
        "pki/test_path.py::test_a_wrong_purpose_is_refused",
        "pki/test_reference.py::test_a_certificate_for_something_else_signs_no_reference",
    ),
    30: fault(
        "keys and digests outside the profile",
        "pki/test_certificate.py::test_a_key_outside_the_profile_is_refused",
        "pki/test_certificate.py::test_a_signature_algorithm_outside_the_profile_is_refused",
        "pki/test_certificate.py::test_a_broken_digest_is_refused",
    ),
    31: fault(
        "long chains, loops, name constraints, a megabyte",
        "pki/test_chain.py::test_path_lengths_and_loops_are_bounded",
        "pki/test_chain.py::test_names_an_authority_may_not_name_are_refused",
        "pki/test_certificate.py::test_a_megabyte_is_refused_before_it_is_parsed",
    ),
    32: fault(
        "tricks in names",
        "pki/test_holder.py::test_no_guid_two_or_another_spelling_is_refused",
        "pki/test_holder.py::test_a_name_with_control_characters_is_refused",
        "pki/test_path.py::test_a_name_that_cannot_be_shown_is_bad_data",
    ),
    33: fault(
        "one serial twice",
        "pki/test_one_form.py::test_fault_33_a_serial_used_twice_is_two_cards",
    ),
    34: fault(
        "sealed to another card",
        "pki/test_cms.py::test_a_message_for_another_card_is_refused_without_asking_it",
        "pki/test_one_error.py::test_before_the_key_is_used_no_work_is_done",
        "hil/test_reference_refusals.py::test_a_reference_is_refused_before_a_finger_is_asked_for",
    ),
    35: fault(
        "every byte changed",
        "pki/test_every_byte.py::test_fault_35_a_sealed_reference_with_any_byte_changed_is_refused",
        "pki/test_every_byte.py::test_fault_35_a_signed_reference_with_any_byte_changed_is_refused",
        "pki/test_every_byte.py::test_fault_35_a_certificate_with_any_byte_changed_is_refused",
        "pki/test_every_byte.py::test_fault_35_a_list_with_any_byte_changed_is_refused",
        "pki/test_every_byte.py::test_fault_35_a_statement_with_any_byte_changed_is_refused",
        "statements/test_jws.py::test_every_flipped_bit_is_refused",
    ),
    36: fault(
        "a weaker algorithm, tag or nonce",
        "pki/test_cms.py::test_a_downgrade_is_refused",
        "pki/test_cms.py::test_another_nonce_or_tag_length_is_refused",
    ),
    37: fault(
        "64 MiB, 100,000 recipients, 1,000 levels",
        "pki/test_cms.py::test_64_mib_are_refused_before_they_are_parsed",
        "pki/test_cms.py::test_a_thousand_nested_levels_are_refused",
        "pki/test_one_form.py::"
        "test_fault_37_more_than_one_recipient_is_refused_whatever_their_number",
        "pki/test_reference.py::test_size_is_bounded_before_parsing",
    ),
    38: fault(
        "unsigned, wrong signer, revoked signer, another card's, over",
        "pki/test_one_form.py::test_fault_38_a_record_that_nobody_signed_is_refused",
        "pki/test_reference.py::test_nobody_but_a_desk_signs",
        "pki/test_reference.py::test_a_revoked_desk_is_refused",
        "pki/test_reference.py::test_a_reference_of_another_card_is_refused",
        "pki/test_reference.py::test_it_holds_from_its_first_second_to_its_last",
    ),
    39: fault(
        "an older enrolment of the same card",
        "pki/test_reference.py::test_an_older_enrolment_of_the_same_card_is_refused",
    ),
    40: fault(
        "points that are none",
        "pki/test_cms.py::test_a_point_that_is_none_never_reaches_a_card",
        "pki/test_cms.py::test_a_point_of_another_curve_is_refused_before_the_card",
        "card/test_conversation.py::test_a_bad_point_or_block_never_reaches_the_card",
    ),
    41: fault(
        "bytes after the end, BER inside",
        "pki/test_one_form.py::test_fault_41_ber_anywhere_inside_is_refused",
        "pki/test_one_form.py::test_fault_41_an_element_more_anywhere_inside_is_refused",
        "pki/test_one_form.py::test_fault_41_a_recipient_without_a_name_in_der_is_refused",
        "pki/test_one_form.py::test_fault_41_bytes_after_the_end_are_refused",
        "pki/test_cms.py::test_every_cut_and_every_byte_more_is_refused",
    ),
    42: fault(
        "a malformed minutiae record",
        "biometrics/test_iso19794_2_2005.py::test_each_fault_has_its_reason",
        "biometrics/test_iso19794_2_2005.py::test_a_changed_byte_is_refused_or_kept",
        "biometrics/test_iso19794_2_2005.py::test_no_view_and_no_minutia_are_refused",
        "biometrics/test_iso19794_2_2005.py::test_views_stand_together_and_in_order",
        "biometrics/test_iso19794_2_2011.py::test_each_fault_has_its_reason",
        "biometrics/test_incits378_2004.py::test_each_fault_has_its_reason",
        "fuzz/fuzz_iso19794_2_2005.py::target",
        "workers/finger/test_card_side.py::test_a_record_that_is_none_is_refused",
    ),
    43: fault(
        "minutiae all in one place, on a line, fewer than 12",
        "biometrics/test_quality.py::test_a_poor_reference_is_refused",
        "biometrics/test_quality.py::test_a_poor_probe_says_what_to_do",
    ),
    44: fault(
        "numbers that are none, and the largest prints there can be",
        "biometrics/test_comparison.py::test_any_two_templates_give_a_score",
        "biometrics/test_comparison.py::test_the_largest_templates_take_less_than_a_second",
        "biometrics/test_kernel.py::test_what_it_may_not_be_given_is_refused_before_it_is_asked",
    ),
    45: fault(
        "no sensor; one pulled out before a scan or in it",
        "workers/finger/test_main.py::test_no_sensor_is_said_at_once",
        "daemon/test_finger_side.py::"
        "test_what_a_spare_said_before_it_died_is_told_to_the_session_that_asks",
        "sensor/test_libfprint.py::test_a_sensor_once_removed_stays_removed",
        "workers/finger/test_process.py::test_an_unplugged_sensor_is_a_fault",
        "hil/test_sensor_faults.py::test_fault_45_a_sensor_pulled_out_in_a_scan_costs_no_try",
    ),
    46: fault(
        "a sensor that falls silent",
        "sensor/test_port.py::test_nobody_there_ends_by_the_deadline",
        "session/test_dialogues.py::"
        "test_faults_46_and_52_a_silent_sensor_and_touches_without_end_have_a_minute",
        "hil/test_sensor_faults.py::test_fault_46_a_sensor_that_falls_silent_can_be_given_up",
    ),
    47: fault(
        "a frame all black, all white, or noise",
        "biometrics/test_touch.py::test_what_is_no_finger_is_not_worth_a_look",
        "workers/finger/test_process.py::"
        "test_a_touch_that_is_no_finger_costs_a_capture_and_says_why",
        "hil/test_sensor_faults.py::test_fault_47_black_white_flat_and_noisy_frames_cost_no_try",
    ),
    48: fault(
        "a resolution or a size that is not the sensor's",
        "profile/test_load.py::test_a_box_has_a_sensor_whose_resolution_is_known",
        "sensor/test_intake.py::test_minutiae_are_those_of_the_profiles_resolution",
        "sensor/test_intake.py::test_fault_48_an_image_of_another_size_than_the_sensors_is_a_fault",
    ),
    49: fault(
        "an image of nothing, of 8 x 8, of 20,000 x 20,000",
        "sensor/test_port.py::test_an_image_no_sensor_takes_is_a_fault",
        "sensor/test_libfprint.py::test_a_frame_too_wide_is_a_fault",
        "workers/finger/test_process.py::"
        "test_an_image_that_kills_libfprint_kills_this_process_alone",
        "hil/test_sensor_faults.py::test_fault_49_an_image_that_kills_the_process_costs_no_try_"
        "and_the_next_is_there_at_once",
        "hil/test_sensor_faults.py::test_fault_49_an_image_of_20000_by_20000_is_no_image",
    ),
    50: fault(
        "two sensors",
        "hil/test_sensor_recordings.py::test_fault_50_two_sensors_are_one_too_many",
        "hil/test_sensor_recordings.py::test_another_sensor_than_the_profiles_is_refused",
        "daemon/test_finger_side.py::"
        "test_fault_50_a_second_sensor_ends_a_scan_and_renews_a_process_that_waits",
    ),
    51: fault(
        "a sensor that comes back as another",
        "daemon/test_hotplug.py::"
        "test_fault_51_a_sensor_that_comes_back_with_another_serial_is_another_device",
        "daemon/test_finger_side.py::"
        "test_fault_50_a_second_sensor_ends_a_scan_and_renews_a_process_that_waits",
    ),
    52: fault(
        "touches too short, without end",
        "sensor/test_scan.py::test_each_poor_touch_says_why_and_the_last_why_ends_it",
        "session/test_dialogues.py::"
        "test_faults_46_and_52_a_silent_sensor_and_touches_without_end_have_a_minute",
        "hil/test_sensor_faults.py::test_fault_52_touches_too_short_without_end_cost_no_try",
    ),
    53: fault(
        "the same frame twice",
        "sensor/test_replay.py::test_a_frame_is_taken_once_and_told_once",
        "workers/finger/test_process.py::test_the_same_pixels_twice_are_refused",
        "workers/finger/test_process.py::"
        "test_fault_53_the_same_pixels_are_refused_by_the_next_process_too",
        "hil/test_finger_refusals.py::test_the_same_picture_twice_is_no_finger",
        "hil/test_sensor_faults.py::test_fault_53_a_frame_that_opened_once_opens_no_second_session",
    ),
    54: fault(
        "the finger process dies",
        "daemon/test_finger_side.py::"
        "test_a_death_in_a_transaction_ends_it_and_a_spare_s_death_harms_nobody",
        "hil/test_faults_workers.py::"
        "test_a_worker_killed_while_the_finger_is_awaited_ends_the_session",
        "hil/test_sensor_faults.py::test_fault_49_an_image_that_kills_the_process_costs_no_try_"
        "and_the_next_is_there_at_once",
    ),
    55: fault(
        "a finger there before the prompt",
        "sensor/test_port.py::test_fault_55_what_came_before_the_prompt_is_never_a_frame",
        "sensor/test_scan.py::"
        "test_what_lay_there_before_the_prompt_is_not_taken_and_costs_no_capture",
        "hil/test_sensor_recordings.py::test_a_finger_that_is_down_before_the_prompt_is_not_taken",
        "hil/test_sensor_faults.py::test_fault_55_an_image_from_before_the_prompt_is_let_go_by",
    ),
}
