"""Reading metrics in Prometheus' text form."""

from prometheus_client.parser import text_string_to_metric_families

Labels = tuple[tuple[str, str], ...]


class Read:
    """The samples of a text.

    Attributes:
        samples: their values, by name and labels.
    """

    def __init__(self, text: str) -> None:
        self.samples: dict[tuple[str, Labels], float] = {}
        names = []
        for family in text_string_to_metric_families(text):
            names.append(family.name)
            for sample in family.samples:
                self.samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        assert len(names) == len({*names}), "a metric stands in two places"

    def get(self, name: str, **labels: str) -> float | None:
        """Return the sum of the samples that have these labels; None without any."""
        found = [
            value
            for (of, with_labels), value in self.samples.items()
            if of == name and labels.items() <= dict(with_labels).items()
        ]
        return sum(found) if found else None

    def labels(self, name: str) -> set[str]:
        """Return the values that a label has anywhere."""
        return {dict(labels)[name] for _, labels in self.samples if name in dict(labels)}
