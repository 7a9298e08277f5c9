"""[door] A card maker's library, spoken to as PKCS#11 v2.40 has it; runs in the child alone.

python-pkcs11 loads it, finds the token and its objects, and derives. What it can't do well is done
here on the same session, by the library's own function list: a PIN from a buffer that is
overwritten afterwards (it wants a str), and signing and deciphering with room for the answer, once:
it asks for the length first, and OpenSC answers that with the card's private operation (counted on
the virtual card: 2 GENERAL AUTHENTICATE for one `decrypt`).

Any error leaves a session that can't be relied on: whoever gets one ends the process.
"""

from __future__ import annotations

import ctypes
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass, SlotFlag, TokenFlag

from sdbox_agent.card import padding
from sdbox_agent.card.pkcs11_frames import MAX_CERTIFICATE_BYTES, Shown
from sdbox_agent.errors import AskAgain, DecodeError, Fault, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sdbox_agent.card.pkcs11_frames import Scheme, Wrapping
    from sdbox_agent.cardkind import KeyName

# PKCS#11 v2.40, pkcs11t.h
_CKU_USER: Final = 1
_CKR_OK: Final = 0
_CKR_PIN_INCORRECT: Final = 0xA0
_CKR_PIN_INVALID: Final = 0xA1
_CKR_PIN_LEN_RANGE: Final = 0xA2
_CKR_PIN_LOCKED: Final = 0xA4
_CKR_USER_NOT_LOGGED_IN: Final = 0x101
_REMOVED: Final = {0x32, 0xB3, 0xE0}  # DEVICE_REMOVED, SESSION_HANDLE_INVALID, TOKEN_NOT_PRESENT
_CKM_RSA_X_509: Final = 0x3
_CKM_RSA_PKCS_OAEP: Final = 0x9
_CKM_RSA_PKCS_PSS: Final = 0xD
_CKM_ECDSA: Final = 0x1041
_CKM_SHA256: Final = 0x250
_CKG_MGF1_SHA256: Final = 2
_CKZ_DATA_SPECIFIED: Final = 1
# pkcs11f.h: places in CK_FUNCTION_LIST; 0 is the version
_GET_FUNCTION_LIST_SIZE: Final = 69
_LOGIN, _DECRYPT_INIT, _DECRYPT, _SIGN_INIT, _SIGN = 19, 34, 35, 43, 44

# OpenSC's PKCS#11 module: PIV key references to CKA_ID. Cards of other makers are issued alike.
_IDS: Final = {"9A": b"\x01", "9D": b"\x03", "9E": b"\x04"}

# Ours
_MAX_ANSWER_BYTES: Final = 512
_TOKEN_WAIT_S: Final = 1.0  # a library may see a card later than PC/SC
_LOOK_AGAIN_S: Final = 0.05


class _Parameters(ctypes.Structure):
    """CK_RSA_PKCS_PSS_PARAMS, and with the last two CK_RSA_PKCS_OAEP_PARAMS."""

    _fields_ = [  # type: ignore[mutable-override]  # ctypes' own way
        ("hash", ctypes.c_ulong),
        ("mask", ctypes.c_ulong),
        ("salt_or_source", ctypes.c_ulong),
        ("label", ctypes.c_void_p),
        ("label_bytes", ctypes.c_ulong),
    ]


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_ = [  # type: ignore[mutable-override]  # ctypes' own way
        ("type", ctypes.c_ulong),
        ("parameters", ctypes.c_void_p),
        ("parameters_bytes", ctypes.c_ulong),
    ]


class Library:
    """One maker's library, and one session with one token."""

    def __init__(self, module: str) -> None:
        """Load it. Raises Fault("card-failed")."""
        with _told():
            self._library = pkcs11.lib(module)
        try:
            listed = ctypes.c_void_p()
            own = ctypes.CDLL(module)  # the same one: dlopen counts
            _check(own.C_GetFunctionList(ctypes.byref(listed)))
        except (OSError, AttributeError):
            raise Fault("card-failed") from None
        table = ctypes.c_void_p * _GET_FUNCTION_LIST_SIZE
        self._functions = table.from_address(listed.value or 0)

    def open(self, serial: str) -> Shown:
        """Take the token of that serial (the only one, if empty), and read its certificates.

        Raises Refused("card-kind-unknown"), AskAgain("ambiguous-card"),
        Refused("card-data-invalid"), Fault("card-failed").
        """
        with _told():
            self._slot = self._token_of(serial).slot
            self._session = self._slot.get_token().open()
            return Shown(
                auth=self._certificate(_IDS["9A"]),
                key_management=self._certificate(_IDS["9D"]),
                card_auth=self._certificate(_IDS["9E"]),
                left=self._left(),
                pad=bool(self._flags() & TokenFlag.PROTECTED_AUTHENTICATION_PATH),
            )

    def login(self, digits: memoryview | None) -> int | None:
        """Give the PIN (None: at the pad). None if it is right, else the tries at least left.

        "Already logged in" is no PIN that was asked for, and no success. Raises
        Fault("card-failed"), Refused("card-removed").
        """
        size = 0 if digits is None else len(digits)
        buffer = None if digits is None else (ctypes.c_char * size).from_buffer(digits)
        result = self._call(_LOGIN, ctypes.c_ulong(_CKU_USER), buffer, ctypes.c_ulong(size))
        if result == _CKR_PIN_LOCKED:
            return 0
        if result in {_CKR_PIN_INCORRECT, _CKR_PIN_INVALID, _CKR_PIN_LEN_RANGE}:
            with _told():
                return self._left()
        _check(result)
        return None

    def sign(self, key: KeyName, scheme: Scheme, digest: bytes) -> bytes:
        """ECDSA as r and s, or RSASSA-PSS with SHA-256 and a salt as long.

        Raises Fault("card-key-refused"), Refused("card-blocked"), Refused("card-removed"),
        Fault("card-failed").
        """
        if scheme == "ecdsa":
            handle = self._key(key, KeyType.EC)
            return self._once((_SIGN_INIT, _SIGN), _CKM_ECDSA, handle, digest)
        handle = self._key(key, KeyType.RSA)
        salt_bytes = padding.SALT_BYTES
        parameters = _Parameters(_CKM_SHA256, _CKG_MGF1_SHA256, salt_bytes, None, 0)
        size = _Parameters.label.offset  # CK_RSA_PKCS_PSS_PARAMS ends there
        return self._once((_SIGN_INIT, _SIGN), _CKM_RSA_PKCS_PSS, handle, digest, parameters, size)

    def unwrap(self, algorithm: Wrapping, blob: bytes) -> bytes:
        """9D's shared X coordinate, or the message in an OAEP block. Raises as `sign`."""
        if algorithm == "ecdh":
            return self._derive(blob)
        handle = self._key("9D", KeyType.RSA)
        both = (_DECRYPT_INIT, _DECRYPT)
        with _told():
            bare = Mechanism.RSA_X_509 in self._slot.get_mechanisms()
        if bare:  # the padding comes off here, as on the other path: one try, the same work
            block = self._once(both, _CKM_RSA_X_509, handle, blob)
            try:
                return padding.oaep_decode(block.rjust(len(blob), b"\0"))
            except DecodeError:
                raise Fault("card-failed") from None
        parameters = _Parameters(_CKM_SHA256, _CKG_MGF1_SHA256, _CKZ_DATA_SPECIFIED, None, 0)
        size = ctypes.sizeof(parameters)
        return self._once(both, _CKM_RSA_PKCS_OAEP, handle, blob, parameters, size)

    # -- the token -------------------------------------------------------------------------------

    def _token_of(self, serial: str) -> pkcs11.Token:
        end_s = time.monotonic() + _TOKEN_WAIT_S
        while not (tokens := self._tokens()) and time.monotonic() < end_s:
            time.sleep(_LOOK_AGAIN_S)
        fit = [one for one in tokens if not serial or _text(one.serial) == serial]
        if not fit:
            raise Refused("card-kind-unknown")
        if len(fit) > 1:  # labels are not unique, nor need serials be
            raise AskAgain("ambiguous-card")
        return fit[0]

    def _tokens(self) -> list[pkcs11.Token]:
        slots = self._library.get_slots(token_present=True)
        tokens = [slot.get_token() for slot in slots if slot.flags & SlotFlag.TOKEN_PRESENT]
        return [one for one in tokens if one.flags & TokenFlag.TOKEN_INITIALIZED]

    def _flags(self) -> TokenFlag:
        return self._slot.get_token().flags  # asked anew: a Token keeps what it saw first

    def _left(self) -> int:
        """PIN tries at least left: PKCS#11 has flags for none and one, and no count."""
        flags = self._flags()
        if flags & TokenFlag.USER_PIN_LOCKED:
            return 0
        return 1 if flags & TokenFlag.USER_PIN_FINAL_TRY else 2

    # -- its objects -----------------------------------------------------------------------------

    def _certificate(self, identifier: bytes) -> bytes:
        wanted = {Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.ID: identifier}
        found = [bytes(one[Attribute.VALUE]) for one in self._session.get_objects(wanted)]
        if len(found) != 1 or not 0 < len(found[0]) <= MAX_CERTIFICATE_BYTES:
            raise Refused("card-data-invalid")
        return found[0]

    def _find(self, name: str, kind: KeyType) -> pkcs11.PrivateKey:
        wanted = {Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.ID: _IDS[name]}
        with _told():
            found = list(self._session.get_objects(wanted))
            if not found:
                raise Fault("card-key-refused")  # private objects are hidden before the PIN
            if len(found) > 1 or found[0].key_type is not kind:
                raise Refused("card-data-invalid")
            return found[0]

    def _key(self, name: str, kind: KeyType) -> int:
        return int(self._find(name, kind).handle)

    def _derive(self, point: bytes) -> bytes:
        key = self._find("9D", KeyType.EC)
        size_bytes = len(point) // 2
        with _told():
            derived = key.derive_key(
                KeyType.GENERIC_SECRET,
                size_bytes * 8,
                mechanism=Mechanism.ECDH1_DERIVE,
                mechanism_param=(pkcs11.KDF.NULL, None, point),
                template={
                    Attribute.TOKEN: False,
                    Attribute.SENSITIVE: False,
                    Attribute.EXTRACTABLE: True,
                    Attribute.VALUE_LEN: size_bytes,
                },
            )
            secret = bytes(derived[Attribute.VALUE])
            derived.destroy()
        return secret

    # -- the function list -----------------------------------------------------------------------

    def _once(
        self,
        functions: tuple[int, int],
        mechanism: int,
        key: int,
        data: bytes,
        parameters: _Parameters | None = None,
        parameters_bytes: int = 0,
    ) -> bytes:
        """Init and the single-part call, with room for the answer: the card is asked once."""
        address = None if parameters is None else ctypes.addressof(parameters)
        how = _Mechanism(mechanism, address, parameters_bytes)
        _check(self._call(functions[0], ctypes.byref(how), ctypes.c_ulong(key)))
        room = ctypes.create_string_buffer(_MAX_ANSWER_BYTES)
        size = ctypes.c_ulong(_MAX_ANSWER_BYTES)
        given = ctypes.c_ulong(len(data))
        try:
            _check(self._call(functions[1], data, given, room, ctypes.byref(size)))
            return room.raw[: size.value]
        finally:
            ctypes.memset(room, 0, _MAX_ANSWER_BYTES)

    def _call(self, function: int, *arguments: object) -> int:
        prototype = ctypes.CFUNCTYPE(ctypes.c_ulong)
        address = self._functions[function]
        if not address:
            raise Fault("card-failed")
        return int(prototype(address)(ctypes.c_ulong(self._session.handle), *arguments))


def _check(result: int) -> None:
    if result == _CKR_OK:
        return
    if result in _REMOVED:
        raise Refused("card-removed")
    if result == _CKR_USER_NOT_LOGGED_IN:
        raise Fault("card-key-refused")
    if result == _CKR_PIN_LOCKED:
        raise Refused("card-blocked")
    raise Fault("card-failed")


@contextmanager
def _told() -> Iterator[None]:
    """Errors of python-pkcs11, as ours."""
    try:
        yield
    except (pkcs11.DeviceRemoved, pkcs11.TokenNotPresent, pkcs11.SessionHandleInvalid):
        raise Refused("card-removed") from None
    except pkcs11.UserNotLoggedIn:
        raise Fault("card-key-refused") from None
    except pkcs11.PinLocked:
        raise Refused("card-blocked") from None
    except (pkcs11.PKCS11Error, RuntimeError, AttributeError, TypeError, ValueError):
        raise Fault("card-failed") from None


def _text(serial: bytes | str) -> str:
    text = serial.decode("ascii", "replace") if isinstance(serial, bytes) else serial
    return text.rstrip(" \0")
