"""The other yardstick: a bare pooled client without database, as fast as this HTTP library goes.

Run as `python -m bench.bare <url> <messages> <in flight>`; prints nothing.
"""

from __future__ import annotations

import asyncio
import base64
import sys
from urllib.parse import urlencode

import aiohttp


async def main(url: str, messages: int, in_flight: int) -> None:
    account = "AC" + "5" * 32
    authorization = "Basic " + base64.b64encode(f"{account}:sandbox-token".encode()).decode()
    headers = {"Authorization": authorization, "Content-Type": "application/x-www-form-urlencoded"}
    numbers = iter(range(messages))

    async def send(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            body = urlencode({"To": f"+447{number:07d}00", "From": "+447700900000", "Body": "Hello, please answer."})
            path = f"{url}/2010-04-01/Accounts/{account}/Messages.json"
            async with session.post(path, data=body, headers=headers) as answer:
                await answer.json()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False) as session:
        await asyncio.gather(*(send(session) for _number in range(in_flight)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
