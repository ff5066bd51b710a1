"""The simulator's own endpoints below `/_/`: accounts, ledger, figures, faults, and callbacks by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from simulator import phones
from simulator.faults import Fault, Kind
from simulator.numbers import ENDINGS
from simulator.providers.base import Provider, plus
from simulator.wire import Answer, BadRequest, Call, Outgoing
from simulator.world import Account, World

ACCOUNT_FIELDS = {"reports_url", "inbound_url", "balance", "suspended", "rate", "burst"}
SIGNING = ("valid", "none", "forged", "tampered")


class Refusal(Exception):
    """A control that cannot be done as asked; the text says what would be right."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Controls:
    def __init__(self, world: World, providers: dict[str, Provider]) -> None:
        self.world = world
        self.providers = providers
        self._routes: dict[tuple[str, str], Callable[[Call], Coroutine[Any, Any, Answer]]] = {
            ("GET", ""): self.index,
            ("GET", "accounts"): self.list_accounts,
            ("POST", "accounts"): self.save_account,
            ("GET", "ledger"): self.ledger,
            ("GET", "phones"): self.phones,
            ("GET", "stats"): self.stats,
            ("DELETE", "stats"): self.reset_stats,
            ("GET", "faults"): self.list_faults,
            ("POST", "faults"): self.add_fault,
            ("DELETE", "faults"): self.remove_faults,
            ("POST", "reporting"): self.set_reporting,
            ("POST", "inbound"): self.inbound,
            ("POST", "callbacks"): self.callback,
        }

    async def respond(self, call: Call) -> Answer:
        route = self._routes.get((call.method, call.path.strip("/")))
        if route is None:
            known = ", ".join(f"{method} /_/{path}" for method, path in self._routes)
            return Answer.json(404, {"error": f"There is {known}."})
        try:
            return await route(call)
        except Refusal as refusal:
            return Answer.json(refusal.status, {"error": str(refusal)})
        except (BadRequest, ValueError, TypeError) as error:
            return Answer.json(400, {"error": str(error)})

    # --- what there is --------------------------------------------------------------------------------------------

    async def index(self, call: Call) -> Answer:
        """Also tells that the simulator is ready."""
        return Answer.json(
            200,
            {
                "providers": {
                    key: {
                        "credentials": list(provider.credential_fields),
                        "example": dict(provider.example),
                        "settings": dict(provider.settings),
                        **provider.published(),
                    }
                    for key, provider in self.providers.items()
                },
                "ledger": str(self.world.ledger.path),
                "numbers": {ending.digits: ending.meaning for ending in ENDINGS.values()},
                "faults": list(Kind),
            },
        )

    async def ledger(self, call: Call) -> Answer:
        """All texts accepted, or those after line `?since=`."""
        since = int(call.query.get("since", 0))
        entries = b",".join(self.world.ledger.since(since).splitlines())
        return Answer(200, b'{"entries":[' + entries + b'],"last":%d}' % len(self.world.ledger))

    async def phones(self, call: Call) -> Answer:
        """The phones of those whom `?owner=` has texted: what has arrived there, and what was written."""
        owner = call.query.get("owner", "")
        if not owner:
            raise Refusal('Name the customer in "owner": the last part of the address of its callbacks.')
        most = min(max(int(call.query.get("most", phones.MOST_PHONES)), 1), phones.MOST_PHONES)
        found = phones.phones(self.world, owner, most=most, search=call.query.get("search", ""))
        return Answer.json(200, {"phones": found})

    async def stats(self, call: Call) -> Answer:
        accounts: dict[str, dict[str, Any]] = {}
        for account in self.world.accounts.values():
            accounts.setdefault(account.provider, {})[account.id] = account.stats.describe()
        return Answer.json(
            200,
            {
                "total": self.world.stats.describe(),
                "providers": accounts,
                "callbacks": {**self.world.callbacks.counts, "pending": self.world.pending},
                "ledger": len(self.world.ledger),
            },
        )

    async def reset_stats(self, call: Call) -> Answer:
        for stats in (self.world.stats, *(account.stats for account in self.world.accounts.values())):
            stats.reset()
        self.world.callbacks.counts.clear()
        return Answer(204)

    # --- accounts -------------------------------------------------------------------------------------------------

    async def list_accounts(self, call: Call) -> Answer:
        """Credentials are left out."""
        accounts = [
            {name: value for name, value in account.saved().items() if name != "credentials"}
            for account in self.world.accounts.values()
        ]
        return Answer.json(200, {"accounts": accounts})

    async def save_account(self, call: Call) -> Answer:
        """Register an account, or change what the body names of one that exists."""
        values = call.object()
        provider = self._provider(values)
        given = values.get("credentials")
        if given is not None:
            credentials = {name: str(value) for name, value in given.items()}
            missing = [name for name in provider.credential_fields if name not in credentials]
            if missing:
                raise Refusal(f'"credentials" of {provider.key} lacks {", ".join(missing)} ("" where there is none).')
            id = provider.account_id(credentials)
            account = self.world.account(provider.key, id) or Account(provider.key, id)
            account.credentials, account.registered = credentials, True
        else:
            account = self._account(values, provider)
        unknown = values.keys() - ACCOUNT_FIELDS - {"provider", "account", "credentials", "settings", "reporting"}
        if unknown:
            raise Refusal(f"Unknown: {', '.join(sorted(unknown))}.")
        for name in ACCOUNT_FIELDS & values.keys():
            setattr(account, name, values[name])
        account.settings.update(values.get("settings") or {})
        if "reporting" in values:
            account.reporting = self.world.reporting.updated(values["reporting"])
        self.world.add_account(account)
        return Answer.json(200, {"provider": provider.key, "account": account.id})

    # --- faults and reports ---------------------------------------------------------------------------------------

    async def list_faults(self, call: Call) -> Answer:
        return Answer.json(200, {"faults": [fault.describe() for fault in self.world.faults.all]})

    async def add_fault(self, call: Call) -> Answer:
        values = call.object()
        try:
            values["kind"] = Kind(str(values["kind"]))
        except (KeyError, ValueError) as error:
            raise Refusal(f'"kind" must be one of {", ".join(Kind)}.') from error
        if values.get("provider"):
            self._provider(values)
        fault = self.world.faults.add(Fault(**values))
        return Answer.json(200, fault.describe())

    async def remove_faults(self, call: Call) -> Answer:
        id = call.query.get("id")
        self.world.faults.remove(int(id) if id else None)
        return Answer(204)

    async def set_reporting(self, call: Call) -> Answer:
        """For one account if the body names a provider, else for all that have no setting of their own."""
        values = call.object()
        if values.get("provider"):
            account = self._account(values, self._provider(values))
            account.reporting = (account.reporting or self.world.reporting).updated(values)
        else:
            self.world.reporting = self.world.reporting.updated(values)
        return Answer(204)

    # --- callbacks by hand ----------------------------------------------------------------------------------------

    async def inbound(self, call: Call) -> Answer:
        """A person writes to us."""
        values = call.object()
        provider = self._provider(values)
        account = self._account(values, provider)
        missing = [name for name in ("from", "to", "text") if name not in values]
        if missing:
            raise Refusal(f"Missing: {', '.join(missing)}.")
        sender = plus(str(values["from"]))
        ids = self.world.inbound(provider, account, sender, str(values["to"]), str(values["text"]))
        if not ids:
            raise Refusal(f'Account {account.id} has no "inbound_url": give it with POST /_/accounts.', 409)
        return Answer.json(200, {"ids": ids})

    async def callback(self, call: Call) -> Answer:
        """One callback as given, signed or forged; answers with what the product said.

        `sign`: "valid", "none", "forged" (by somebody without the secret), "tampered" (signed, then changed).
        """
        values = call.object()
        provider = self._provider(values)
        account = self._account(values, provider)
        signing = values.get("sign", "valid")
        if signing not in SIGNING:
            raise Refusal(f'"sign" must be one of {", ".join(SIGNING)}.')
        headers = {str(name): str(value) for name, value in (values.get("headers") or {}).items()}
        headers.setdefault("Content-Type", str(values.get("content_type", "application/json")))
        outgoing = Outgoing(
            str(values.get("method", "POST")), str(values["url"]), headers, str(values.get("body", "")).encode()
        )
        if signing == "forged":
            outgoing = provider.sign(provider.forger(account), outgoing)
        elif signing != "none":
            outgoing = provider.sign(account, outgoing)
        if signing == "tampered":
            if outgoing.body:
                outgoing.body += b" "
            else:
                outgoing.url += "&x=1" if "?" in outgoing.url else "?x=1"
        plan = provider.plan(account, outgoing.url)
        copies = max(int(values.get("copies", 1)), 1)
        results = await asyncio.gather(*(self.world.callbacks.attempt(outgoing, plan) for _copy in range(copies)))
        answers = [
            {"outcome": outcome, "status": status, "body": body.decode("utf-8", "replace")}
            for outcome, status, body in results
        ]
        return Answer.json(200, {**answers[0], "answers": answers})

    # --- names ----------------------------------------------------------------------------------------------------

    def _provider(self, values: dict[str, Any]) -> Provider:
        provider = self.providers.get(str(values.get("provider")))
        if provider is None:
            raise Refusal(f'"provider" must be one of {", ".join(self.providers)}.')
        return provider

    def _account(self, values: dict[str, Any], provider: Provider) -> Account:
        """The account named by its id, or the provider's only one."""
        if values.get("account"):
            account = self.world.account(provider.key, str(values["account"]))
            if account is None:
                raise Refusal(f"{provider.key} has no account {values['account']!r}.", 404)
            return account
        accounts = self.world.accounts_of(provider.key)
        if len(accounts) != 1:
            raise Refusal(f'{provider.key} has {len(accounts)} accounts: name one in "account".')
        return accounts[0]
