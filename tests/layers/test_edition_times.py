"""Valid time and recorded time against a slow model, and sessions that race (R3, R4)."""

import datetime
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from layers.database import Connection, connect
from layers.edition_restore import restore
from layers.editions import contents_in_force, open_draft, publish, put_layer, withdraw
from layers.errors import Conflict

START = datetime.date(2026, 1, 1)
DAYS = 12
_numbers = itertools.count(1)


def day(number: int) -> datetime.date:
    return START + datetime.timedelta(number)


@dataclass
class Edition:
    number: int
    first_day: int
    contents: dict[str, int]
    brought: frozenset[str]
    withdrawn: bool = False


@dataclass
class SlowModel:
    """Every day is asked for anew: who of all editions holds it? No ranges, no pointers."""

    editions: list[Edition] = field(default_factory=list)

    def holder(self, on: int) -> Edition | None:
        begun = [e for e in self.editions if not e.withdrawn and e.first_day <= on]
        latest = max((e.first_day for e in begun), default=None)
        return next((e for e in reversed(begun) if e.first_day == latest), None)

    def by_day(self) -> dict[int, tuple[int, dict[str, int]] | None]:
        return {
            on: (held.number, dict(held.contents)) if (held := self.holder(on)) else None
            for on in range(-1, DAYS + 2)
        }

    def carried_on(self, edition: Edition) -> bool:
        holding = {held.number for on in range(DAYS + 2) if (held := self.holder(on))}
        return any(
            later.number > edition.number
            and later.number in holding
            and layer not in later.brought
            and later.contents.get(layer) == edition.contents[layer]
            for later in self.editions
            for layer in edition.brought
        )


@dataclass
class History:
    """One plan with two layers, driven through the code and through the model."""

    connection: Connection
    plan: str
    layers: tuple[str, str]
    model: SlowModel = field(default_factory=SlowModel)
    snapshots: list[tuple[datetime.datetime, dict]] = field(default_factory=list)

    def publish(self, first_day: int, brings: frozenset[int]) -> None:
        contents = {self.layers[i]: new_content(self.connection, self.layers[i]) for i in brings}
        draft = open_draft(self.connection, self.plan, valid_from=day(first_day))
        for layer, content in contents.items():
            put_layer(self.connection, draft, layer, content)
        publish(self.connection, self.plan, draft)
        before = self.model.holder(first_day)
        carried = before.contents if before else {}
        self.model.editions.append(
            Edition(draft, first_day, {**carried, **contents}, frozenset(contents))
        )

    def restore(self, which: int, first_day: int) -> None:
        if not self.model.editions:
            return
        source = self.model.editions[which % len(self.model.editions)]
        draft = restore(self.connection, self.plan, source.number, valid_from=day(first_day))
        publish(self.connection, self.plan, draft)
        # What the day's edition holds besides comes along, as with every draft.
        before = self.model.holder(first_day)
        carried = before.contents if before else {}
        self.model.editions.append(
            Edition(draft, first_day, {**carried, **source.contents}, frozenset(source.contents))
        )

    def withdraw(self, which: int) -> None:
        if not self.model.editions:
            return
        edition = self.model.editions[which % len(self.model.editions)]
        if edition.withdrawn or self.model.carried_on(edition):
            with pytest.raises(Conflict):
                withdraw(self.connection, self.plan, edition.number)
            return
        withdraw(self.connection, self.plan, edition.number)
        edition.withdrawn = True

    def remember(self) -> None:
        found = self.connection.execute("SELECT clock_timestamp()").fetchone()
        assert found is not None
        self.snapshots.append((found[0], self.model.by_day()))

    def answer(self, on: int, known_at: datetime.datetime | None) -> object:
        found = contents_in_force(self.connection, self.layers, day(on), known_at=known_at)
        if not found:
            return None
        (edition,) = {content.edition_id for content in found.values()}
        return edition, {layer: content.content_id for layer, content in found.items()}

    def states(self) -> dict[int, str]:
        return dict(
            self.connection.execute(
                "SELECT id, state FROM library.edition WHERE plan_id = %s", (self.plan,)
            ).fetchall()
        )


def new_history(connection: Connection) -> History:
    number = next(_numbers)
    plan, layers = f"plan-{number}", (f"layer_{number}_a", f"layer_{number}_b")
    connection.execute(
        "INSERT INTO library.plan (id, kind, rank, definition) VALUES (%s, 'special', 1, '{}')",
        (plan,),
    )
    for layer in layers:
        connection.execute(
            "INSERT INTO library.layer (id, plan_id, access_class, accuracy_m, definition)"
            " VALUES (%s, %s, 'open', 1, '{}')",
            (layer, plan),
        )
    return History(connection, plan, layers)


def new_content(connection: Connection, layer: str) -> int:
    """A content that is ready and empty; its number is what is asked for here."""
    found = connection.execute(
        "INSERT INTO library.layer_content (layer_id, state, accuracy_m, feature_count)"
        " VALUES (%s, 'ready', 1, 0) RETURNING id",
        (layer,),
    ).fetchone()
    assert found is not None
    connection.execute(
        f"CREATE TABLE library.feature_c{found[0]} PARTITION OF library.feature"
        f" FOR VALUES IN ({found[0]})"
    )
    return int(found[0])


_FIRST_DAY = st.integers(0, DAYS)
_WHICH = st.integers(0, 7)
_STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("publish"),
            _FIRST_DAY,
            st.sampled_from([frozenset({0}), frozenset({1}), frozenset({0, 1})]),
        ),
        st.tuples(st.just("withdraw"), _WHICH),
        st.tuples(st.just("restore"), _WHICH, _FIRST_DAY),
    ),
    min_size=1,
    max_size=8,
)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=_STEPS)
def test_every_history_answers_like_the_slow_model(database: str, steps: list[tuple]) -> None:
    with connect(database) as connection:
        history = new_history(connection)
        history.remember()
        for name, *arguments in steps:
            getattr(history, name)(*arguments)
            history.remember()
        edges = {e.first_day + step for e in history.model.editions for step in (-1, 0)}
        for on in sorted({*edges, DAYS + 1}):
            assert history.answer(on, None) == history.model.by_day()[on]
            for moment, known in history.snapshots:
                assert history.answer(on, moment) == known[on], (on, moment)
        last = history.model.holder(DAYS + 1)
        for edition in history.model.editions:
            expected = "withdrawn" if edition.withdrawn else (
                "published" if edition is last else "superseded"
            )  # fmt: skip
            assert history.states()[edition.number] == expected


def at_once(*actions: Callable[[], object]) -> list[object]:
    """Run actions in threads that start together; give results and errors in their order."""
    barrier = threading.Barrier(len(actions))
    results: list[object] = [None] * len(actions)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = actions[index]()
        except (Conflict, psycopg.Error) as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def two(database: str) -> Iterator[tuple[Connection, Connection]]:
    with connect(database) as one, connect(database) as other:
        yield one, other


def test_publish_and_withdraw_at_once_leave_what_the_model_says(
    two: tuple[Connection, Connection],
) -> None:
    one, other = two
    for _ in range(40):
        history = new_history(one)
        history.publish(0, frozenset({0, 1}))
        history.publish(6, frozenset({0, 1}))
        (first, second) = history.model.editions
        draft = open_draft(one, history.plan, valid_from=day(3))
        contents = {layer: new_content(one, layer) for layer in history.layers}
        for layer, content in contents.items():
            put_layer(one, draft, layer, content)
        results = at_once(
            lambda: publish(one, history.plan, draft),  # noqa: B023 - called in this turn
            lambda: withdraw(other, history.plan, first.number),  # noqa: B023
        )
        assert results[0] == draft, results
        first.withdrawn = True
        history.model.editions.append(Edition(draft, 3, contents, frozenset(contents)))
        assert not isinstance(results[1], Exception), results
        for on in (-1, 0, 2, 3, 5, 6, 9):
            assert history.answer(on, None) == history.model.by_day()[on]
        assert history.states()[first.number] == "withdrawn"
        assert history.states()[second.number] == "published"


def test_two_sessions_cannot_restore_at_once(two: tuple[Connection, Connection]) -> None:
    one, other = two
    for _ in range(20):
        history = new_history(one)
        history.publish(0, frozenset({0}))
        (edition,) = history.model.editions
        results = at_once(
            lambda: restore(one, history.plan, edition.number, valid_from=day(2)),  # noqa: B023
            lambda: restore(other, history.plan, edition.number, valid_from=day(4)),  # noqa: B023
        )
        assert sorted(type(result).__name__ for result in results) == ["Conflict", "int"]
        (refused,) = [result for result in results if isinstance(result, Conflict)]
        assert refused.code == "draft-exists"


def test_two_imports_that_begin_at_once_meet_in_one_draft(
    two: tuple[Connection, Connection],
) -> None:
    one, other = two
    for _ in range(20):
        history = new_history(one)
        results = at_once(
            lambda: open_draft(one, history.plan, valid_from=day(1)),  # noqa: B023
            lambda: open_draft(other, history.plan, valid_from=day(1)),  # noqa: B023
        )
        assert results[0] == results[1]


def test_moments_of_a_plan_have_the_order_of_its_changes(
    two: tuple[Connection, Connection],
) -> None:
    """A transaction that began early and came late must not be recorded as early."""
    one, other = two
    history = new_history(one)
    history.publish(0, frozenset({0}))
    (edition,) = history.model.editions
    with other.transaction():
        other.execute("SELECT now()")  # the transaction begins here
        history.publish(4, frozenset({0}))
        history.remember()
        withdraw(other, history.plan, edition.number)
    edition.withdrawn = True
    moment, known = history.snapshots[-1]
    for on in (0, 4):
        assert history.answer(on, moment) == known[on]
        assert history.answer(on, None) == history.model.by_day()[on]


def test_a_restored_edition_points_to_the_same_rows(
    connection: Connection, publish_layer: Callable[..., int]
) -> None:
    import shapely

    box = shapely.box(110.0, 19.0, 110.01, 19.01)
    first = publish_layer("ecological_redline", [box], valid_from=day(0))
    publish_layer("permanent_basic_farmland", [box, box.buffer(0.01)], valid_from=day(3))
    draft = restore(connection, "overall-plan", first, valid_from=day(6))
    with pytest.raises(Conflict) as refused:
        restore(connection, "overall-plan", first, valid_from=day(6))
    assert refused.value.code == "draft-exists"
    publish(connection, "overall-plan")
    on = lambda number: contents_in_force(connection, None, day(number))  # noqa: E731
    assert on(6)["ecological_redline"].content_id == on(0)["ecological_redline"].content_id
    # What the earlier edition did not speak of goes on as it is.
    assert (
        on(6)["permanent_basic_farmland"].content_id == on(3)["permanent_basic_farmland"].content_id
    )
    kept = connection.execute("SELECT metadata FROM library.edition WHERE id = %s", (draft,))
    assert kept.fetchone() == ({"restored_from": first},)
    assert withdraw(connection, "overall-plan", draft) is not None


def test_an_edition_whose_rows_are_gone_is_not_restored(
    connection: Connection, publish_layer: Callable[..., int]
) -> None:
    import shapely

    first = publish_layer("ecological_redline", [shapely.box(110.0, 19.0, 110.01, 19.01)])
    (content,) = connection.execute("SELECT max(id) FROM library.layer_content").fetchone() or (0,)
    connection.execute(f"DROP TABLE library.feature_c{content}")
    with pytest.raises(Conflict) as refused:
        restore(connection, "overall-plan", first, valid_from=day(6))
    assert refused.value.code == "contents-gone"
    with pytest.raises(Conflict, match="no draft"):
        publish(connection, "overall-plan")
