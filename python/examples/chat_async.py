import asyncio
from pathlib import Path

import turnkeep
from turnkeep.calls import append_turn, get_thread
from turnkeep.storage import DirectoryStorage


async def main() -> None:
    async with turnkeep.connect_async(storage=DirectoryStorage("objects")) as db:
        turn = append_turn("trip", [{"role": "user", "content": "What does this do?"}])
        await db.append_with_files(turn, [Path(__file__)])
        thread = await db(get_thread("trip"))
        print([file.original_name for file in thread.files])


asyncio.run(main())
