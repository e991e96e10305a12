# /// script
# requires-python = ">=3.11"
# dependencies = ["boto3>=1.44,<2", "httpx2>=2.16,<3"]
#
# [tool.firedrill]
# needs = ["s3"]
# browser = false
# ///
# SPDX-License-Identifier: MIT-0
"""The popular job: upload in parts, hand out a link, resume with Range.

A failed upload leaves its parts, which are billed and not listed. The link
goes to whoever knows or guesses a job's number. The resumed download glues
two exports together. Use s3_multipart_writer.py, export_job.py and
resumable_download.py instead.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import os
import sqlite3
import sys
import tempfile
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import httpx2


# --8<-- [start:upload]
def upload(client: Any, bucket: str, key: str, parts: Iterable[bytes]) -> None:
    """Write an object in parts of at least 5 MiB."""
    where = {"Bucket": bucket, "Key": key}
    where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
    done = []
    # BUG: when anything below raises, the parts stay in the bucket.
    for number, body in enumerate(parts, 1):
        answer = client.upload_part(**where, PartNumber=number, Body=body)
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    client.complete_multipart_upload(**where, MultipartUpload={"Parts": done})


# --8<-- [end:upload]


# --8<-- [start:download_link]
def download_link(
    db: sqlite3.Connection, client: Any, bucket: str, job_id: int
) -> str:
    """Return the address of a finished export, for the e-mail."""
    # BUG: whose job is it? And the next one has the next number.
    (key,) = db.execute(
        "SELECT key FROM exports WHERE id = ?", [job_id]
    ).fetchone()
    link: str = client.generate_presigned_url(
        "get_object",
        Params={"Bucket": bucket, "Key": key},
        ExpiresIn=86_400,  # BUG: a day in which anybody may forward it.
    )
    return link


# --8<-- [end:download_link]


# --8<-- [start:resume]
def resume(url: str, path: Path) -> None:
    """Fetch what is missing at the end of a file."""
    have = path.stat().st_size
    # BUG: the end of which file? It may have been exported anew.
    answer = httpx2.get(url, headers={"Range": f"bytes={have}-"})
    # BUG: nobody looks whether the server answered 206, 200 or 416.
    with path.open("ab") as file:
        file.write(answer.content)


# --8<-- [end:resume]


# --8<-- [start:demo]
def main() -> None:
    """Fail in an upload, take another's file, and glue two exports."""
    url = os.environ.get("S3_ENDPOINT_URL") or sys.exit(
        "Set S3_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and "
        "AWS_REGION, those of a server of yours. "
        "In the Firedrill repository: make lab"
    )
    client = boto3.client("s3", endpoint_url=url)
    bucket = f"firedrill-{uuid.uuid4()}"
    client.create_bucket(Bucket=bucket)
    try:

        def parts() -> Iterable[bytes]:
            yield b"x" * (5 << 20)
            raise ConnectionError

        try:
            upload(client, bucket, "broken.csv", parts())
        except ConnectionError:
            (left,) = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
            print(f"left behind: parts of {left['Key']}")
            client.abort_multipart_upload(
                Bucket=bucket, Key=left["Key"], UploadId=left["UploadId"]
            )

        db = sqlite3.connect(":memory:")
        db.execute("CREATE TABLE exports (id INTEGER PRIMARY KEY, key, owner)")
        db.execute("INSERT INTO exports (key, owner) VALUES ('a.csv', 'ann')")
        client.put_object(Bucket=bucket, Key="a.csv", Body=b"1,old\n2,old\n")
        link = download_link(db, client, bucket, 1)
        db.close()
        print(f"eve has ann's file: {httpx2.get(link).content!r}")

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "a.csv")
            path.write_bytes(b"1,old\n")  # here the line broke
            client.put_object(
                Bucket=bucket, Key="a.csv", Body=b"1,new\n2,new\n"
            )
            resume(link, path)
            print(f"resumed: {path.read_bytes()!r}")
    finally:
        client.delete_object(Bucket=bucket, Key="a.csv")
        client.delete_bucket(Bucket=bucket)
        client.close()


if __name__ == "__main__":
    main()
# --8<-- [end:demo]
