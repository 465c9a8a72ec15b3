"""Caches hold so many bytes and no more, however many entries are put in and however large they are."""

from calliope.caches import ENTRY_BYTES, BoundedCache


def test_the_least_recently_used_goes_first() -> None:
    cache: BoundedCache[str, str] = BoundedCache(3 * (10 + ENTRY_BYTES))
    for key in "abc":
        cache.put(key, key, 10)
    assert cache.get("a") == "a"
    cache.put("d", "d", 10)
    assert [cache.get(key) for key in "abcd"] == ["a", None, "c", "d"]


def test_bytes_are_counted_of_what_is_kept_and_of_nothing_else() -> None:
    cache: BoundedCache[str, str] = BoundedCache(10_000)
    cache.put("a", "one", 5_000)
    cache.put("a", "two", 1_000)
    cache.drop("nobody")
    assert (cache.get("a"), cache.bytes, len(cache)) == ("two", 1_000 + ENTRY_BYTES, 1)
    cache.drop("a")
    assert (cache.get("a"), cache.bytes, len(cache)) == (None, 0, 0)


def test_what_is_larger_than_the_cache_drives_nothing_out() -> None:
    cache: BoundedCache[str, str] = BoundedCache(1_000)
    cache.put("a", "small", 100)
    cache.put("b", "huge", 1_000)
    assert (cache.get("a"), cache.get("b")) == ("small", None)


def test_many_small_entries_are_bounded_too() -> None:
    cache: BoundedCache[int, None] = BoundedCache(100 * ENTRY_BYTES)
    for number in range(10_000):
        cache.put(number, None, 0)
    assert len(cache) == 100
