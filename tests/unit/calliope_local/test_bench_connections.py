"""The bench counts the connections to models from the workers' metrics."""

from calliope_local.bench.connections import Connections

PAGE = """# TYPE calliope_llm_connections_total counter
calliope_llm_connections_total{provider="openai",purpose="spare"} 5.0
calliope_llm_connections_total{provider="openai",purpose="answer"} 2.0
calliope_llm_connections_total{provider="custom",purpose="answer"} 1.0
calliope_llm_requests_total{outcome="answered"} 9.0
"""


def test_all_vendors_and_purposes_are_counted_and_those_that_an_answer_waited_for() -> None:
    assert Connections.of(PAGE) == Connections(opened=8, waited_for=3)
    assert Connections.of("") == Connections()


def test_a_load_counts_what_was_opened_since_it_began() -> None:
    assert Connections(8, 3).since(Connections(6, 3)) == Connections(2, 0)
