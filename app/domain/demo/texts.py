"""Invented words of the demo: categories, templates, tickets and notes, in the languages of the customers."""

from __future__ import annotations

Texts = dict[str, tuple[str, str]]
"""Language -> (subject, body)."""

CATEGORIES: tuple[tuple[str, dict[str, str], str, bool, int], ...] = (
    (
        "Maintenance", {"en": "Maintenance", "de": "Wartung", "ru": "Технические работы", "es": "Mantenimiento"},
        "Operations", False, 30,
    ),
    (
        "Security notice",
        {"en": "Security notice", "de": "Sicherheitshinweis", "ru": "Безопасность", "es": "Aviso de seguridad"},
        "Operations", False, 40,
    ),
    ("Billing", {"en": "Billing", "de": "Abrechnung", "ru": "Расчёты", "es": "Facturación"}, "Finance", False, 20),
    (
        "Support", {"en": "Support", "de": "Kundendienst", "ru": "Поддержка", "es": "Atención al cliente"},
        "Support", False, 10,
    ),
    ("News", {"en": "News", "de": "Neuigkeiten", "ru": "Новости", "es": "Novedades"}, "Marketing", True, 0),
    ("Offers", {"en": "Offers", "de": "Angebote", "ru": "Предложения", "es": "Ofertas"}, "Marketing", True, 0),
)  # fmt: skip

TEMPLATES: tuple[tuple[str, str, Texts], ...] = (
    (
        "Planned maintenance", "Maintenance",
        {
            "en": (
                "Planned maintenance of your services",
                (
                    "Dear {{ customer.contact_person }},\n\non Tuesday night between 02:00 and 04:00 we replace "
                    "storage systems. Your services at {{ project.name }} may be unreachable for about ten "
                    "minutes. You need not do anything.\n\n{{ project.site }}"
                ),
            ),
            "de": (
                "Geplante Wartung Ihrer Dienste",
                (
                    "Guten Tag {{ customer.contact_person }},\n\nin der Nacht zum Dienstag tauschen wir zwischen "
                    "02:00 und 04:00 Uhr Speichersysteme. Ihre Dienste bei {{ project.name }} können etwa zehn "
                    "Minuten lang nicht erreichbar sein. Sie müssen nichts tun.\n\n{{ project.site }}"
                ),
            ),
            "ru": (
                "Плановые работы",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nВ ночь на вторник с 02:00 до 04:00 мы меняем "
                    "системы хранения. Ваши услуги в {{ project.name }} могут быть недоступны около десяти минут. "
                    "От вас ничего не требуется.\n\n{{ project.site }}"
                ),
            ),
            "es": (
                "Mantenimiento previsto de sus servicios",
                (
                    "Hola, {{ customer.contact_person }}:\n\nla noche del martes, entre las 02:00 y las 04:00, "
                    "cambiaremos sistemas de almacenamiento. Sus servicios en {{ project.name }} pueden no "
                    "responder unos diez minutos. No tiene que hacer nada.\n\n{{ project.site }}"
                ),
            ),
        },
    ),
    (
        "Change your password", "Security notice",
        {
            "en": (
                "Please change your password",
                (
                    "Dear {{ customer.contact_person }},\n\nsomebody tried many passwords on your account {{ "
                    "customer.name }}. Nobody got in. Please choose a new password all the same.\n\n{{ "
                    "project.sender_name }}"
                ),
            ),
            "de": (
                "Bitte ändern Sie Ihr Passwort",
                (
                    "Guten Tag {{ customer.contact_person }},\n\njemand hat an Ihrem Konto {{ customer.name }} "
                    "viele Passwörter durchprobiert, ohne Erfolg. Bitte wählen Sie trotzdem ein neues.\n\n{{ "
                    "project.sender_name }}"
                ),
            ),
            "ru": (
                "Смените, пожалуйста, пароль",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nК вашему аккаунту {{ customer.name }} "
                    "пытались подобрать пароль. Войти никому не удалось, но лучше задать новый.\n\n{{ "
                    "project.sender_name }}"
                ),
            ),
            "es": (
                "Cambie su contraseña, por favor",
                (
                    "Hola, {{ customer.contact_person }}:\n\nalguien probó muchas contraseñas en su cuenta {{ "
                    "customer.name }}, sin éxito. Elija una nueva de todos modos.\n\n{{ project.sender_name }}"
                ),
            ),
        },
    ),
    (
        "Payment reminder", "Billing",
        {
            "en": (
                "A payment is open",
                (
                    "Dear {{ customer.contact_person }},\n\nwe have not seen your last payment yet. Has it crossed "
                    "with this message? Then there is nothing to do.\n\n{{ staff.name }}, {{ project.name }}"
                ),
            ),
            "de": (
                "Eine Zahlung ist offen",
                (
                    "Guten Tag {{ customer.contact_person }},\n\nIhre letzte Zahlung ist noch nicht bei uns "
                    "angekommen. Hat sie sich mit dieser Nachricht gekreuzt, ist nichts zu tun.\n\n{{ staff.name "
                    "}}, {{ project.name }}"
                ),
            ),
            "ru": (
                "Ожидаем оплату",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nПоследний платёж к нам пока не поступил. Если "
                    "вы уже оплатили, делать ничего не нужно.\n\n{{ staff.name }}, {{ project.name }}"
                ),
            ),
            "es": (
                "Hay un pago pendiente",
                (
                    "Hola, {{ customer.contact_person }}:\n\ntodavía no hemos recibido su último pago. Si ya lo "
                    "hizo, no tiene que hacer nada.\n\n{{ staff.name }}, {{ project.name }}"
                ),
            ),
        },
    ),
    (
        "Welcome", "Support",
        {
            "en": (
                "Welcome to {{ project.name }}",
                (
                    "Dear {{ customer.contact_person }},\n\nyour account {{ customer.name }} is ready. Just answer "
                    "this message when you have a question.\n\n{{ staff.name }}"
                ),
            ),
            "de": (
                "Willkommen bei {{ project.name }}",
                (
                    "Guten Tag {{ customer.contact_person }},\n\nIhr Konto {{ customer.name }} ist bereit. "
                    "Antworten Sie einfach auf diese Nachricht, wenn Sie Fragen haben.\n\n{{ staff.name }}"
                ),
            ),
            "ru": (
                "Добро пожаловать в {{ project.name }}",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nВаш аккаунт {{ customer.name }} готов. Если "
                    "появятся вопросы, просто ответьте на это сообщение.\n\n{{ staff.name }}"
                ),
            ),
            "es": (
                "Bienvenido a {{ project.name }}",
                (
                    "Hola, {{ customer.contact_person }}:\n\nsu cuenta {{ customer.name }} está lista. Responda a "
                    "este mensaje si tiene alguna pregunta.\n\n{{ staff.name }}"
                ),
            ),
        },
    ),
    (
        "New data centre", "News",
        {
            "en": (
                "We have moved closer to you",
                (
                    "Dear {{ customer.contact_person }},\n\nour new data centre runs on wind power, and pages load "
                    "up to a third faster. Your services move in the coming weeks, without a break.\n\n{{ "
                    "project.name }}"
                ),
            ),
            "de": (
                "Wir sind näher bei Ihnen",
                (
                    "Guten Tag {{ customer.contact_person }},\n\nunser neues Rechenzentrum läuft mit Windkraft, "
                    "und Seiten laden bis zu ein Drittel schneller. Ihre Dienste ziehen in den nächsten Wochen "
                    "ohne Unterbrechung um.\n\n{{ project.name }}"
                ),
            ),
            "ru": (
                "Мы стали ближе",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nНаш новый дата-центр работает на энергии "
                    "ветра, страницы загружаются на треть быстрее. Ваши услуги переедут в ближайшие недели без "
                    "перерыва.\n\n{{ project.name }}"
                ),
            ),
            "es": (
                "Estamos más cerca",
                (
                    "Hola, {{ customer.contact_person }}:\n\nnuestro nuevo centro de datos funciona con energía "
                    "eólica y las páginas cargan hasta un tercio más rápido. Sus servicios se mudarán sin "
                    "interrupción.\n\n{{ project.name }}"
                ),
            ),
        },
    ),
    (
        "A server for less", "Offers",
        {
            "en": (
                "A bigger server at the old price",
                (
                    "Dear {{ customer.contact_person }},\n\nuntil the end of the month you get the next bigger "
                    "server for what you pay now. An answer is enough.\n\n{{ project.name }}"
                ),
            ),
            "de": (
                "Größerer Server zum alten Preis",
                (
                    "Guten Tag {{ customer.contact_person }},\n\nbis zum Monatsende bekommen Sie den "
                    "nächstgrößeren Server für den jetzigen Preis. Eine Antwort genügt.\n\n{{ project.name }}"
                ),
            ),
            "ru": (
                "Сервер мощнее за те же деньги",
                (
                    "Здравствуйте, {{ customer.contact_person }}!\n\nДо конца месяца вы можете перейти на "
                    "следующий тариф по нынешней цене. Достаточно ответить.\n\n{{ project.name }}"
                ),
            ),
            "es": (
                "Un servidor mayor al mismo precio",
                (
                    "Hola, {{ customer.contact_person }}:\n\nhasta fin de mes puede tener el servidor siguiente "
                    "por lo que paga ahora. Basta con responder.\n\n{{ project.name }}"
                ),
            ),
        },
    ),
)  # fmt: skip

CONVERSATIONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "en": (
        (
            "My site shows an old certificate",
            (
                "Since this morning browsers warn about my certificate. It ran out yesterday.",
                (
                    "The renewal had failed because a DNS record was missing. I have put it back; the new "
                    "certificate is live."
                ),
                "Perfect, the warning is gone. Thank you!",
            ),
        ),
        (
            "Mail to one partner bounces",
            (
                "Everything we send to one partner comes back with code 550. Other mail arrives.",
                "Their server wants a reverse DNS entry. I have set it; please try again in an hour.",
            ),
        ),
        ("Can I pay once a year?", ("Twelve invoices a year are a nuisance. Can I pay for a year at once?",)),
        (
            "Backup from last Friday",
            (
                "We deleted a folder by accident. Is there a backup from Friday evening?",
                "Yes. I restored it next to the original, as “restored”. Move over what you need.",
            ),
        ),
    ),
    "de": (
        (
            "Website seit heute früh langsam",
            (
                "Seit etwa acht Uhr braucht unser Laden im Netz zehn Sekunden je Seite.",
                (
                    "Ein Suchroboter hat Ihre Filterseiten hundertfach abgerufen. Ich habe ihn gebremst. Ist es "
                    "jetzt besser?"
                ),
                "Ja, alles flüssig. Vielen Dank für die schnelle Hilfe!",
            ),
        ),
        (
            "Rechnung auf andere Firma",
            ("Wir firmieren seit dem 1. des Monats um. Können Sie die letzte Rechnung neu ausstellen?",),
        ),
        (
            "Domainumzug",
            (
                "Wir möchten drei Domains zu Ihnen holen. Was brauchen Sie von uns?",
                "Nur die drei Auth-Codes, die Ihr jetziger Anbieter Ihnen gibt. Den Rest erledigen wir.",
            ),
        ),
        (
            "Zugang für unsere Buchhalterin",
            (
                "Frau Lührs soll Rechnungen sehen, aber nichts bestellen dürfen. Geht das?",
                "Ja: Legen Sie unter „Benutzer“ einen Zugang mit der Rolle „Finanzen“ an.", "Hat geklappt, danke.",
            ),
        ),
    ),
    "ru": (
        (
            "Не приходит почта",
            (
                "С утра на наш домен не доходят письма. Проверьте, пожалуйста.",
                "Ящик был переполнен. Мы увеличили квоту, письма уже доставляются.", "Спасибо, всё пришло!",
            ),
        ),
        ("Закрывающие документы", ("Нужен акт за прошлый месяц с печатью. Куда написать?",)),
        (
            "Перенос сервера",
            (
                "Хотим переехать на тариф побольше. Сколько будет простой?",
                "Около пяти минут, ночью в удобное для вас время. Когда начать?",
            ),
        ),
    ),
    "es": (
        (
            "La web no carga desde el móvil",
            (
                "Desde ayer la tienda no abre en teléfonos; en el ordenador sí.",
                "Faltaba la dirección IPv6 en el nuevo servidor. Ya está puesta. ¿Puede comprobarlo?",
                "Funciona, ¡muchas gracias!",
            ),
        ),
        ("Factura con otro NIF", ("La última factura lleva el NIF antiguo. ¿Pueden corregirla?",)),
        (
            "Añadir un dominio",
            (
                "Queremos añadir un segundo dominio al mismo alojamiento. ¿Es posible?",
                "Sí, hasta cinco sin coste. Lo hemos añadido; apunte el DNS cuando quiera.",
            ),
        ),
    ),
}  # fmt: skip

INTERNAL = (
    "Checked with operations, they are on it.", "Long-standing customer, please answer today.",
    "See the ticket of last week.",
)  # fmt: skip

CANNED: dict[str, dict[str, str]] = {
    "Greeting": {
        "en": "Hello {{ customer.contact_person|default(\"there\") }},\n\nthank you for your message.",
        "de": "Guten Tag {{ customer.contact_person }},\n\nvielen Dank für Ihre Nachricht.",
        "ru": "Здравствуйте, {{ customer.contact_person }}!\n\nСпасибо за ваше сообщение.",
        "es": "Hola, {{ customer.contact_person }}:\n\nGracias por su mensaje.",
    },
    "We look into it": {
        "en": "We look into it and write again today.\n\n{{ staff.name }}\n{{ project.name }}",
        "de": "Wir sehen uns das an und melden uns heute noch einmal.\n\n{{ staff.name }}\n{{ project.name }}",
        "ru": "Мы разберёмся и напишем ещё раз сегодня.\n\n{{ staff.name }}\n{{ project.name }}",
        "es": "Lo estamos mirando y le escribimos de nuevo hoy.\n\n{{ staff.name }}\n{{ project.name }}",
    },
    "Restart the router": {
        "en": "Please switch the router off, wait for a minute, and switch it on again.",
        "de": "Bitte schalten Sie den Router aus, warten Sie eine Minute und schalten Sie ihn wieder ein.",
        "ru": "Выключите роутер, подождите минуту и включите его снова.",
        "es": "Apague el router, espere un minuto y vuelva a encenderlo.",
    },
}  # fmt: skip

NOTES = (
    "Prefers to be called in the morning.", "Asked for an offer for two more servers; follow up next week.",
    "Pays late in summer, always pays in the end.", "Met at the fair. Interested in managed backups.",
    "Wants invoices by post as well.",
    "Their web agency writes from another address; it is all right to help them.",
    "Do not change DNS without calling first.", "Has recommended us twice.",
    "Is comparing us with a competitor until spring.", "Speaks English on the phone, writes in their own language.",
    "New contact from next month, they will tell us the name.",
    "Complained about the price rise; gave three months at the old price.",
)  # fmt: skip
