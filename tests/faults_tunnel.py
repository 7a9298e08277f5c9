"""Faults 76 to 85 of the catalogue (the tunnel, its network), and their tests: as in faults.py."""

from tests.faults import Fault, fault

TUNNEL_FAULTS: dict[int, Fault] = {
    76: fault(
        "a handshake that never completes",
        "hil/test_faults_tunnel.py::test_a_handshake_that_never_completes",
        "workers/test_tunnel.py::test_a_handshake_that_never_completes_ends_in_time",
        "workers/test_tunnel.py::test_a_preshared_key_made_of_anything_else_never_opens_and_is_told_from_silence",
    ),
    77: fault(
        "the peer removed at the gateway in a session",
        "hil/test_faults_tunnel.py::test_the_gateway_killed",
        "hil/test_faults_tunnel.py::test_a_tunnel_that_falls_silent",
        "workers/test_tunnel_path.py::test_a_gateway_that_removes_us_is_noticed",
    ),
    78: fault(
        "an endpoint, or the box's own address, that moves",
        "workers/test_tunnel_path.py::test_a_gateway_that_answers_from_elsewhere_is_not_followed",
        "workers/test_tunnel_path.py::test_another_address_of_the_box_is_told_to_wireguard",
        "workers/test_tunnel_path.py::test_a_route_that_comes_and_goes_leaves_the_tunnel_up",
    ),
    79: fault(
        "a path that swallows large packets",
        "workers/test_tunnel_path.py::test_a_narrow_route_is_known_at_opening",
        "workers/test_tunnel_path.py::test_a_black_hole_is_found_and_survived",
        "hil/test_attacks.py::test_fault_79_a_black_hole_on_the_way_to_the_centre_is_told_in_time",
    ),
    80: fault(
        "default and more specific routes from DHCP, redirects, routers, neighbours",
        "hil/test_attacks.py::test_fault_80_a_network_that_lies_changes_nothing",
        "hil/test_attacks.py::test_fault_80_routes_to_the_project_do_not_draw_the_session",
        "hil/test_attacks.py::test_fault_80_a_route_to_the_gateway_can_only_end_the_session",
        "hil/test_attacks.py::"
        "test_a_neighbour_that_claims_the_centres_address_can_only_end_the_session",
        "workers/test_walls.py::test_a_second_interface_and_injected_routes_change_nothing",
    ),
    81: fault(
        "IPv6 router advertisements and name servers that draw traffic out",
        "hil/test_attacks.py::test_fault_80_a_network_that_lies_changes_nothing",
        "hil/test_attacks.py::test_fault_81_no_name_is_asked_for_and_no_router",
    ),
    82: fault(
        "a device of ours already there, a name taken, addresses that overlap",
        "workers/test_tunnel.py::test_a_leftover_interface_is_swept_at_start",
        "workers/test_tunnel.py::test_an_absurd_grant_is_refused_and_nothing_stays",
        "workers/test_tunnel_grants.py::test_a_grant_into_the_hosts_network_is_told_as_such",
        "workers/test_tunnel_grants.py::test_a_name_that_is_taken_costs_one_session_and_is_swept",
        "tunnel/test_config.py::test_an_absurd_grant_is_refused",
        "tunnel/test_link.py::test_a_taken_name_is_a_fault",
    ),
    83: fault(
        "nftables flushed by another program",
        "hil/test_faults_walls.py::test_every_rule_flushed_in_a_session",
        "hil/test_faults_walls.py::test_keeper_and_helper_killed_and_every_rule_flushed_at_once",
        "workers/test_tunnel_walls.py::test_a_touch_of_the_walls_takes_the_tunnel_down",
        "workers/test_tunnel_walls.py::"
        "test_between_a_flush_and_the_walls_return_nothing_of_the_session_leaves",
        "workers/test_walls.py::test_whatever_another_program_does_to_the_walls_is_undone",
    ),
    84: fault(
        "wireguard-go killed",
        "hil/test_faults_tunnel.py::test_wireguards_process_killed",
        "workers/test_tunnel_deaths.py::test_wireguard_killed_ends_the_tunnel",
    ),
    85: fault(
        "a clock set back, and WireGuard's own against replay",
        "workers/test_tunnel_clock.py::"
        "test_an_older_time_than_the_last_is_refused_in_silence_until_it_has_passed",
        "tunnel/test_plumbing.py::test_a_loss_under_a_clock_set_back_is_told_as_that",
    ),
}
