"""The sections of the configuration file, in the order in which they are made: what others name comes first."""

from __future__ import annotations

from app.domain.config.section import Section
from app.domain.config.sections.automation import Rules, Views
from app.domain.config.sections.brands import Attitudes, Logos, Numbers, Projects, SignUps
from app.domain.config.sections.catalog import Discounts, Groups, PaymentMethods, ProductGroups, Products
from app.domain.config.sections.custom import CustomFields, Labels
from app.domain.config.sections.messages import CannedReplies, Categories, Segments, Templates
from app.domain.config.sections.papers import DocumentTemplates, ExchangeRates, TaxRates
from app.domain.config.sections.roles import Roles
from app.domain.config.sections.settings import Settings

SECTIONS: tuple[Section, ...] = (
    Settings(), Labels(), PaymentMethods(), Attitudes(), Projects(), Logos(), Numbers(), TaxRates(), ExchangeRates(),
    DocumentTemplates(), ProductGroups(), Products(), CustomFields(), Groups(), SignUps(), Discounts(), Categories(),
    Templates(), CannedReplies(), Segments(), Roles(), Views(), Rules(),
)  # fmt: skip
BY_NAME = {section.name: section for section in SECTIONS}
