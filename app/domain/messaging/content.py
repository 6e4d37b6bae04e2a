"""What a campaign says: its texts, sender and files, loaded once for many deliveries; a sent message read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload, selectinload

from app.domain.messaging.render import CompiledMessage, RenderedMessage, compile_message
from app.domain.messaging.values import Reader
from app.errors import NotFound
from app.models.attachments import Attachment
from app.models.messaging import Campaign, CampaignAttachment, CampaignState, Category, Delivery, Policy
from app.models.projects import Project


@dataclass(frozen=True)
class Content:
    """The frozen content of a campaign. texts: language -> (subject, body)."""

    campaign_id: int
    state: CampaignState
    policy: Policy
    texts: Mapping[str, tuple[str, str]]
    sender_name: str
    sender_email: str
    staff_name: str
    attachments: Sequence[Attachment]
    started_at: datetime | None = None
    per_second: int = 0
    """Messages a second, at most; 0: no limit. The same per domain of the recipients."""
    per_domain_second: int = 0
    stop_percent: int = 0
    """More failures than this among the last `stop_window` deliveries pause the campaign; 0: never."""
    stop_window: int = 200
    run: int = 0
    category: Category | None = None
    tracked: frozenset[str] = frozenset()
    """Names of the projects that count opened and clicked messages."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Name -> host of the projects that have one of their own: links in mails lead there."""
    prepared: dict[tuple[str, str], Any] = field(default_factory=dict, compare=False)
    """(sender, host) -> what the headers of all messages have in common (headers.py)."""

    def text(self, language: str) -> CompiledMessage:
        """The compiled text of a language that the campaign has. Raises TemplateProblem, KeyError."""
        return self._compiled[language]

    @cached_property
    def _compiled(self) -> dict[str, CompiledMessage]:
        return {language: compile_message(*text) for language, text in self.texts.items()}

    @cached_property
    def macros(self) -> dict[str, frozenset[str]]:
        """language -> the fields that its text uses."""
        return {language: compiled.macros for language, compiled in self._compiled.items()}

    @cached_property
    def reader(self) -> Reader:
        """Makes recipients of the rows of a claim."""
        return Reader(self.macros, self.staff_name)

    @cached_property
    def files_key(self) -> tuple[tuple[str, str], ...]:
        """Which files go with it."""
        return tuple((file.name, file.key) for file in self.attachments)


async def load_content(session: AsyncSession, campaign_id: int) -> Content:
    """Load what a campaign says. Raises NotFound."""
    campaign = await session.scalar(
        select(Campaign)
        .where(Campaign.id == campaign_id)
        .options(
            selectinload(Campaign.texts), joinedload(Campaign.staff), joinedload(Campaign.category),
            selectinload(Campaign.attachments).joinedload(CampaignAttachment.attachment),
        )
        .execution_options(populate_existing=True)
    )  # fmt: skip
    if campaign is None:
        raise NotFound
    projects = (await session.execute(
        select(Project.name, Project.tracking, Project.host).where(or_(Project.tracking, Project.host.is_not(None))),
        execution_options={"unscoped": True},
    )).all()  # fmt: skip
    return Content(
        campaign_id=campaign.id, state=campaign.state, policy=campaign.policy,
        texts={text.language: (text.subject, text.body) for text in campaign.texts},
        sender_name=campaign.sender_name, sender_email=campaign.sender_email,
        staff_name=str(campaign.staff) if campaign.staff else "",
        attachments=sorted((link.attachment for link in campaign.attachments), key=lambda file: file.id),
        started_at=campaign.started_at, run=campaign.run,
        per_second=campaign.per_second, per_domain_second=campaign.per_domain_second,
        stop_percent=campaign.stop_percent, stop_window=campaign.stop_window,
        category=campaign.category, tracked=frozenset(p.name for p in projects if p.tracking),
        hosts={p.name: p.host for p in projects if p.host},
    )  # fmt: skip


@dataclass(frozen=True)
class SentMessage:
    """A message exactly as the recipient has it."""

    message: RenderedMessage
    attachments: Sequence[Attachment]
    sender_name: str
    sender_email: str


async def message_as_sent(session: AsyncSession, delivery: Delivery) -> SentMessage:
    """Render a delivery again from frozen content and frozen values. Raises NotFound when its campaign is gone.

    The caller has checked that the reader may see this delivery.
    """
    return as_sent(await load_content(session, delivery.campaign_id), delivery)


def as_sent(content: Content, delivery: Delivery) -> SentMessage:
    """The same from content that is loaded. Raises NotFound for a language that it does not have."""
    if delivery.language not in content.texts:
        raise NotFound
    values = {name: str(value) for name, value in delivery.values.items()}
    return SentMessage(
        message=content.text(delivery.language).render(values),
        attachments=content.attachments,
        sender_name=content.sender_name or values.get("project.sender_name", ""),
        sender_email=content.sender_email or values.get("project.sender_email", ""),
    )
