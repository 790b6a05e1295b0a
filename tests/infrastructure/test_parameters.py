"""Parameters of an environment fit the templates, or are refused by file, table and name."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from infrastructure.cloudformation.parameters import read_parameters
from infrastructure.cloudformation.template import TemplateError, parse_template

NETWORK = parse_template(
    textwrap.dedent(
        """\
        Parameters:
          Environment: {Type: String, AllowedPattern: '[a-z]+'}
          Cidr: {Type: String, AllowedPattern: '[0-9./]+', ConstraintDescription: an address block}
          Zones: {Type: Number, Default: 3, MinValue: 2, MaxValue: 3}
          Public: {Type: String, Default: 'false', AllowedValues: ['true', 'false']}
          Services: {Type: CommaDelimitedList, Default: ''}
          Note: {Type: String, Default: '', MaxLength: 5}
        Resources: {}
        """
    ),
    "network",
)
KEYS = parse_template("Parameters: {Environment: {Type: String}}\nResources: {}\n", "keys")


def read(tmp_path: Path, text: str, environment: str = "dev") -> dict[str, object]:
    path = tmp_path / f"{environment}.toml"
    path.write_text(text)
    return dict(read_parameters(path, [NETWORK, KEYS])["network"])


def test_values_are_those_of_the_file_and_then_the_defaults(tmp_path: Path) -> None:
    assert read(tmp_path, '[network]\nCidr = "10.0.0.0/16"\nPublic = true\nServices = ["kms", "logs"]\n') == {
        "Environment": "dev",
        "Cidr": "10.0.0.0/16",
        "Zones": "3",
        "Public": "true",
        "Services": ["kms", "logs"],
        "Note": "",
    }


def test_a_list_may_be_written_as_text_and_an_empty_one_has_no_items(tmp_path: Path) -> None:
    head = '[network]\nCidr = "10.0.0.0/16"\n'
    assert read(tmp_path, f'{head}Services = "kms, logs"\n')["Services"] == ["kms", "logs"]
    assert read(tmp_path, head)["Services"] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"\[network\]: Cidr is missing"),
        ("[network]\nCidr = 'x'\n", "Cidr is not valid; expected an address block; got 'x'"),
        ("[network]\nCidr = '1'\nZones = 4\n", "Zones is not valid; expected 2 to 3; got 4"),
        ("[network]\nCidr = '1'\nZones = 'many'\n", "expected a number"),
        ("[network]\nCidr = '1'\nPublic = 'no'\n", "expected one of true, false"),
        ("[network]\nCidr = '1'\nNote = 'longer'\n", "expected 0 to 5 characters"),
        ("[network]\nCidr = '1'\nZone = 2\n", "unknown parameter Zone"),
        ("[network]\nCidr = '1'\nEnvironment = 'dev'\n", "Environment is the name of the file"),
        ("[netwrk]\n", r"\[netwrk\] is no stack; expected one of keys, network"),
        ("network", "cannot be read"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(TemplateError, match=f"dev.toml.*{message}"):
        read(tmp_path, text)


def test_the_name_of_the_environment_must_fit_its_pattern(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match="Environment is not valid"):
        read(tmp_path, "[network]\nCidr = '1'\n", environment="DEV")
