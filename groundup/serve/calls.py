"""Chats whose model calls tools: what the server runs it answers itself; the other calls end the reply.

A call that is malformed, or of a tool that there is not, is answered with what is wrong, and the model goes on.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from json import dumps

from groundup.dialogue.assist import Transcript
from groundup.infer.engine import Event
from groundup.infer.schedule import Request
from groundup.serve.replies import Called, Piece, Ran
from groundup.serve.served import Served
from groundup.serve.toolbox import Toolbox


async def converse(model: Served, requests: Sequence[Request], box: Toolbox) -> AsyncGenerator[Piece, None]:
    """`Served.pieces`, and where a turn ends with the call of a tool, what comes of it.

    A call of the client's tool ends the reply. What the server's tools answer the model goes on from; their answers
    are told in `ran`. Raises ApiError as `Served.pieces` does, also between two turns.
    """
    transcripts = [Transcript(model.dialogue.chat, request) for request in requests]
    going, until = dict(enumerate(requests)), model.deadline()
    while going:
        numbers, events, calls = list(going), {number: list[Event]() for number in going}, list[int]()
        async with aclosing(model.pieces([*going.values()], until)) as pieces:
            async for piece in pieces:
                number = numbers[piece.choice]
                events[number] += [piece.event] if piece.event is not None else []
                piece = replace(piece, choice=number)
                if piece.finish is not None:
                    drawn, transcript = events[number], transcripts[number]
                    transcript.take([event.token for event in drawn], [event.logp for event in drawn])
                    piece = _ended(piece, transcript, box)
                    calls += [number] * (piece.finish is None)
                yield piece
        going = {}
        said = await asyncio.gather(*(_answered(transcripts[each], box) for each in calls))
        for number, ran in zip(calls, said, strict=True):
            gap = "\n" * bool(transcripts[number].messages[-1].content)
            request = transcripts[number].tell(ran.answer, model.length)
            if request is None:
                yield Piece(number, "", None, "length", ran=ran)
            else:
                going[number] = request
                yield Piece(number, gap, None, None, ran=ran)


def _ended(piece: Piece, transcript: Transcript, box: Toolbox) -> Piece:
    """The last piece of a turn: of the reply too, unless there is a call to answer here."""
    call = box.theirs_in(transcript.messages[-1].call) if transcript.stopped else None
    if call is None:
        return replace(piece, finish=None) if transcript.calls else piece
    called = Called(f"call_{secrets.token_hex(12)}", call.name, dumps(dict(call.arguments), ensure_ascii=False))
    return replace(piece, finish="tool_calls", call=called)


async def _answered(transcript: Transcript, box: Toolbox) -> Ran:
    """The call at the end of a turn, and its answer; a tool may take its time."""
    call = transcript.messages[-1].call
    return Ran(call, await asyncio.to_thread(box.answer, call))
