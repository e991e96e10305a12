"""Each test gets a real server's space of its own."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
import redis

from lab.servers import Bucket


@pytest.mark.parametrize("again", [1, 2])
def test_postgres_url_is_a_fresh_database(postgres_url: str, again: int) -> None:
    with psycopg.connect(postgres_url) as connection:
        connection.execute("CREATE TABLE only_mine (number int)")
        connection.execute("INSERT INTO only_mine VALUES (%s)", (again,))
        assert connection.execute("SELECT number FROM only_mine").fetchall() == [(again,)]


@pytest.mark.parametrize("again", [1, 2])
def test_redis_url_is_an_empty_database_number(redis_url: str, again: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("only-mine", again)
        assert client.get("only-mine") == str(again).encode()


@pytest.mark.parametrize("again", [1, 2])
def test_nats_subject_holds_no_stream_of_another_test(
    nats_url: str, nats_subject: str, again: int
) -> None:
    import nats

    async def publish() -> int:
        client = await nats.connect(nats_url)
        stream = client.jetstream()
        await stream.add_stream(name=nats_subject, subjects=[f"{nats_subject}.>"])
        for _ in range(again):
            acknowledged = await stream.publish(f"{nats_subject}.orders", b"x")
        await client.close()
        return acknowledged.seq

    assert asyncio.run(publish()) == again


@pytest.mark.parametrize("again", [1, 2])
def test_s3_is_an_empty_bucket(s3: Bucket, again: int) -> None:
    client = s3.client()
    assert client.list_objects_v2(Bucket=s3.name)["KeyCount"] == 0
    client.put_object(Bucket=s3.name, Key="only-mine", Body=b"x" * again)
    assert client.head_object(Bucket=s3.name, Key="only-mine")["ContentLength"] == again
    client.close()
