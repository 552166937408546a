import pytest

from collector.core.errors import UsageError
from collector.core.passwords import check_hash, hash_password, is_password

SALT = bytes(range(16))
KEPT = hash_password("correct horse", SALT)


def test_a_password_is_known_again_and_another_is_not() -> None:
    assert KEPT.startswith("scrypt$32768$8$1$AAECAwQFBgcICQoLDA0ODw==$")
    assert is_password("correct horse", KEPT)
    assert not is_password("correct horsf", KEPT)
    assert not is_password("", KEPT)
    assert not is_password("c" * 10_000, KEPT)


def test_the_same_password_with_another_salt_is_another_text() -> None:
    assert hash_password("correct horse", SALT[::-1]) != KEPT


def test_the_vector_of_the_rfc() -> None:
    # RFC 7914, section 12: scrypt("pleaseletmein", "SodiumChloride", N=16384, r=8, p=1)
    kept = (
        "scrypt$16384$8$1$U29kaXVtQ2hsb3JpZGU=$"
        "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw=="
    )
    assert is_password("pleaseletmein", kept)
    assert check_hash(kept) == kept


@pytest.mark.parametrize("password", ["short", "", "x" * 201])
def test_a_password_has_a_length(password: str) -> None:
    with pytest.raises(UsageError, match=f"this one has {len(password)}"):
        hash_password(password, SALT)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "hunter2hunter2",
        "scrypt$1$8$1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
        KEPT.replace("32768", "1073741824"),
        KEPT.replace("32768", "32767"),
        KEPT.replace("scrypt", "md5"),
        f"{KEPT}!",
        KEPT.rpartition("$")[0],
    ],
)
def test_what_is_no_hash_is_refused_without_being_repeated(kept: str) -> None:
    with pytest.raises(UsageError) as raised:
        check_hash(kept)
    assert str(raised.value) == "this is not the hash of a password: make one with `callmeter password`"
