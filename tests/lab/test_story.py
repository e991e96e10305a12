"""A story records what a drill tells, in order, and takes its title from the docstring."""

from lab.story import Line, Story, Teller


class Recorder(Teller):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[Line] = []

    def line(self, line: Line) -> None:
        self.told.append(line)


def test_lines_are_recorded_in_order_with_their_numbers(story: Story) -> None:
    story.scene("two bursts", requests=200)
    story.naive("admits both", admitted=200)
    story.good("admits one", admitted=100)
    assert story.lines == [
        Line("scene", "two bursts", {"requests": 200}),
        Line("naive", "admits both", {"admitted": 200}),
        Line("good", "admits one", {"admitted": 100}),
    ]


def test_each_line_reaches_the_teller_at_once() -> None:
    recorder = Recorder()
    story = Story(recorder)
    story.naive("admits both")
    assert recorder.told == [Line("naive", "admits both")]
