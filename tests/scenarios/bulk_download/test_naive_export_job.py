"""What the popular job leaves behind, by its own demo; and that it works when nothing fails."""

import pytest

from lab.servers import Bucket
from snippets.bulk_download.naive_export_job import upload
from tests.scenarios.bulk_download.conftest import Demo


@pytest.mark.usefixtures("demo_s3")
def test_parts_stay_and_files_are_glued(demo: Demo) -> None:
    assert demo("naive_export_job") == [
        "left behind: parts of broken.csv",
        "eve has ann's file: b'1,old\\n2,old\\n'",
        "resumed: b'1,old\\n2,new\\n'",
    ]


def test_an_upload_that_goes_well_is_an_object(s3: Bucket) -> None:
    client = s3.client()
    upload(client, s3.name, "a", [b"x" * (5 << 20), b"y"])
    assert client.head_object(Bucket=s3.name, Key="a")["ContentLength"] == (5 << 20) + 1
    client.close()
