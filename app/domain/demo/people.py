"""Invented people and firms of the demo: who could live in which country, and what firms are called there."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Country:
    """`share`: how many of the 240 customers live there. vat: shape of a VAT number, # a digit and @ a letter."""

    code: str
    share: int
    language: str
    timezone: str
    cities: str
    first: str
    last: str
    firms: str
    street: str
    vat: str = ""


COUNTRIES = (
    Country(
        "DE", 44, "de", "Europe/Berlin",
        "10115 Berlin|20095 Hamburg|80331 München|50667 Köln|01067 Dresden|90402 Nürnberg",
        "Jürgen|Anneliese|Björn|Käthe|Sören|Ülkü|Mareike|Götz|Heike|Cornelius|Jördis|Yasemin",
        "Grünwald|Köhler|Weiß|Brömmelkamp|Schönfeld|Größer|Jäger|Özdemir|Lührs|Krämer|Thürmer|von der Mühle",
        "Bäckerei {} GmbH|{} & Söhne KG|Fördetechnik {} GmbH|Praxis Dr. {}|Druckhaus {}|Möbelwerk {} AG",
        "Mühlenstraße", "DE#########",
    ),
    Country(
        "AT", 12, "de", "Europe/Vienna", "1010 Wien|8010 Graz|5020 Salzburg|6020 Innsbruck",
        "Leopold|Veronika|Sepp|Resi|Florian|Magdalena",
        "Moosbrugger|Höllwarth|Schörghofer|Pöltl|Gschwandtner|Zöchling", "Gasthof {}|{} Holzbau GmbH|Weingut {}",
        "Kärntner Straße", "ATU########",
    ),
    Country(
        "CH", 8, "de", "Europe/Zurich", "8001 Zürich|3011 Bern|1201 Genève|4051 Basel",
        "Urs|Rägula|Beat|Océane|Reto|Chiara", "Zürcher|Aebischer|Bünzli|Favre|Hürlimann|Rüegg",
        "{} Uhren AG|Käserei {}|{} Treuhand AG", "Bahnhofstrasse", "",
    ),
    Country(
        "GB", 18, "en", "Europe/London", "London E2 8AA|Leeds LS1 4AP|Bristol BS1 5TR|Edinburgh EH1 1YZ",
        "Siân|Alasdair|Priya|Oluwaseun|Beatrix|Rhys|Zoë|Callum",
        "Llewellyn|MacAllister|O’Shaughnessy|Adeyemi|Whitcombe|Featherstone",
        "{} & Daughters Ltd|{} Marine Surveys|The {} Bookshop|{} Analytics Ltd", "Mill Lane", "",
    ),
    Country(
        "US", 12, "en", "America/New_York",
        "Austin, TX 78701|Portland, OR 97204|Chicago, IL 60601|Brooklyn, NY 11201",
        "Renée|Hank|Soledad|Xochitl|Darnell|Maeve", "Castañeda|Thibodeaux|Nakamura|Van Houten|Okonkwo|Sørensen",
        "{} Robotics Inc.|{} Outfitters LLC|Blue Heron {} Farm", "Maple Avenue", "",
    ),
    Country(
        "RU", 22, "ru", "Europe/Moscow",
        "101000 Москва|190000 Санкт-Петербург|620014 Екатеринбург|630099 Новосибирск",
        "Ольга|Екатерина|Алёна|Злата|Фёдор|Семён|Ярослав|Михаил",
        "Ковалёв|Соловьёв|Щукин|Журавлёв|Королёв|Ёлкин|Быстров|Цветков",
        "ООО «{} и партнёры»|Пекарня {}|ИП {}|Студия {}", "улица Пушкина", "",
    ),
    Country(
        "KZ", 6, "ru", "Asia/Almaty", "050000 Алматы|010000 Астана|100000 Қарағанды", "Әлия|Гүлнәр|Нұрлан|Ерлан",
        "Сәтбай|Жұмабек|Қасым|Өтеген", "ТОО «{}»|{} Логистика", "проспект Абая", "",
    ),
    Country(
        "BY", 4, "ru", "Europe/Minsk", "220030 Мінск|230025 Гродна", "Алесь|Ганна|Зміцер",
        "Караткевіч|Шаўчук|Мацкевіч", "ЗАО «{}»|Кавярня {}", "вуліца Якуба Коласа", "",
    ),
    Country(
        "GE", 3, "ka", "Asia/Tbilisi", "0105 თბილისი|6000 ბათუმი", "ნინო|გიორგი|თამარ", "ბერიძე|კაპანაძე|მაისურაძე",
        "{} და შვილები", "რუსთაველის გამზირი", "",
    ),
    Country(
        "UA", 4, "uk", "Europe/Kyiv", "01001 Київ|79000 Львів", "Ґанна|Юрій|Зоряна", "Шевченко|Їжакевич|Ґудзь",
        "ТОВ «{}»|Кав’ярня {}", "вулиця Хрещатик", "",
    ),
    Country(
        "ES", 18, "es", "Europe/Madrid", "28013 Madrid|08002 Barcelona|41001 Sevilla|48001 Bilbao|15001 A Coruña",
        "Begoña|Íñigo|Lucía|Andrés|Montserrat|Ángel|Nerea|Joaquín",
        "Muñoz Ibáñez|Peña|Etxeberria|Núñez|Güell|Domínguez|Castaño",
        "Panadería {} S.L.|{} e Hijos S.L.|Astilleros {} S.A.|Estudio {}", "Calle Mayor", "ESB########",
    ),
    Country(
        "MX", 8, "es", "America/Mexico_City", "06000 Ciudad de México|44100 Guadalajara|64000 Monterrey",
        "Ximena|Cuauhtémoc|Itzel|Raúl", "Ordóñez|Peñaloza|Zúñiga|Yáñez", "Talavera {} S.A. de C.V.|Café {}",
        "Avenida Juárez", "",
    ),
    Country(
        "AR", 5, "es", "America/Argentina/Buenos_Aires", "C1002 Buenos Aires|X5000 Córdoba",
        "Agustín|Milagros|Facundo", "Güemes|Pereyra|Échague", "Estancia {}|{} Hnos. S.R.L.", "Avenida Corrientes",
        "",
    ),
    Country(
        "CL", 4, "es", "America/Santiago", "8320000 Santiago|2340000 Valparaíso", "Benjamín|Rocío|Matías",
        "Ñancupil|Araya|Vicuña", "Viña {} SpA|Minera {}", "Calle Lira", "",
    ),
    Country(
        "CO", 3, "es", "America/Bogota", "110111 Bogotá|050001 Medellín", "Óscar|María José|Yeison",
        "Cárdenas|Quiñones|Jaramillo", "Café {} S.A.S.", "Carrera Séptima", "",
    ),
    Country(
        "PT", 4, "pt", "Europe/Lisbon", "1100-148 Lisboa|4000-322 Porto", "Conceição|João|Inês",
        "Guimarães|Falcão|Simões", "Conservas {} Lda.|{} & Irmãos", "Rua da Assunção", "PT#########",
    ),
    Country(
        "BR", 6, "pt", "America/Sao_Paulo", "01310-200 São Paulo|20040-020 Rio de Janeiro",
        "Antônio|Flávia|Caetano|Conceição", "Gonçalves|Assunção|Brandão|Magalhães",
        "{} Tecnologia Ltda.|Padaria {}", "Avenida Paulista", "",
    ),
    Country(
        "FR", 8, "fr", "Europe/Paris", "75009 Paris|69002 Lyon|33000 Bordeaux|35000 Rennes",
        "Éloïse|François|Maëlle|Jérôme|Zélie", "Lefèvre|D’Aubigné|Béranger|Cœurdeuil|Gaël",
        "Fromagerie {} SARL|Éditions {}|{} et Fils", "Rue Milton", "FR###########",
    ),
    Country(
        "BE", 4, "nl", "Europe/Brussels", "1000 Brussel|9000 Gent|4000 Liège", "Lieselot|Joëlle|Wout",
        "Vandenbroucke|Désirant|D’Hondt", "Brouwerij {} BV|Chocolaterie {}", "Grétrystraat", "BE0#########",
    ),
    Country(
        "NL", 5, "nl", "Europe/Amsterdam", "1016 GV Amsterdam|3011 Rotterdam", "Daniël|Loïs|Tjerk|Anouk",
        "van ’t Hoff|Ruijter|de Haën|IJpma", "{} Scheepsbouw B.V.|Fietsen {}", "Lijnbaansgracht", "NL#########B##",
    ),
    Country(
        "IT", 6, "it", "Europe/Rome", "00192 Roma|20121 Milano|16121 Genova", "Niccolò|Giosuè|Mariangela|Noè",
        "D’Angiò|Mancusò|Cantù|Dell’Òrto", "Officine {} S.r.l.|Pasticceria {}", "Via degli Scipioni",
        "IT###########",
    ),
    Country(
        "PL", 6, "pl", "Europe/Warsaw", "00-358 Warszawa|31-042 Kraków|80-831 Gdańsk",
        "Łucja|Stanisław|Małgorzata|Żaneta", "Wójcik|Śliwa|Kozioł|Żuraw", "{} Transport Sp. z o.o.|Księgarnia {}",
        "ulica Długa", "PL##########",
    ),
    Country(
        "CZ", 5, "cs", "Europe/Prague", "110 00 Praha|602 00 Brno", "Jiří|Bětka|Ondřej|Žofie",
        "Krejčí|Martinů|Petrů|Jirků", "{} a synové s.r.o.|Pivovar {}", "Vodičkova", "CZ########",
    ),
    Country(
        "SK", 3, "sk", "Europe/Bratislava", "811 01 Bratislava", "Ľubica|Božena|Zdenka",
        "Ďuricová|Kováčová|Hrušková", "{} stavby s.r.o.", "Obchodná", "",
    ),
    Country(
        "HU", 4, "hu", "Europe/Budapest", "1073 Budapest|6720 Szeged", "Árpád|Zsófia|Ödön", "Kővári|Hegedűs|Győrfi",
        "{} és Fia Kft.", "Erzsébet körút", "HU########",
    ),
    Country(
        "SE", 5, "sv", "Europe/Stockholm", "112 30 Stockholm|411 03 Göteborg", "Åsa|Björn|Märta|Göran",
        "Sjöberg|Åkesson|Häggström|Lindqvist", "{} Skog AB|Sjömacken {} AB", "Celsiusgatan", "SE##########01",
    ),
    Country(
        "NO", 4, "nb", "Europe/Oslo", "0171 Oslo|5003 Bergen", "Bjørnar|Åshild|Tormod", "Sæther|Bråten|Ødegård",
        "{} Fiskeri AS|Hytta {} AS", "Ullevålsveien", "",
    ),
    Country(
        "DK", 4, "da", "Europe/Copenhagen", "1720 København|8000 Aarhus", "Søren|Kjærstin|Jørgen",
        "Østergaard|Bækgaard|Kjær", "{} Møbler ApS|Mejeriet {}", "Sønder Boulevard", "DK########",
    ),
    Country(
        "FI", 4, "fi", "Europe/Helsinki", "00530 Helsinki|33100 Tampere", "Päivi|Väinö|Äänis",
        "Hämäläinen|Yli-Pekkola|Jääskeläinen", "{} Oy|Sahayhtiö {} Oy", "Porthaninkatu", "FI########",
    ),
    Country(
        "TR", 4, "tr", "Europe/Istanbul", "34000 İstanbul|06000 Ankara", "Çağla|İbrahim|Şule",
        "Gökçe|Yıldırım|Öztürk", "{} Tekstil A.Ş.", "İstiklal Caddesi", "",
    ),
    Country(
        "GR", 3, "el", "Europe/Athens", "105 57 Αθήνα|546 24 Θεσσαλονίκη", "Ελένη|Φωτεινή|Αθηνά",
        "Παπαδοπούλου|Οικονόμου|Ξένου", "{} και Υιοί Α.Ε.", "Οδός Ερμού", "EL#########",
    ),
    Country(
        "RO", 3, "ro", "Europe/Bucharest", "010011 București|400001 Cluj-Napoca", "Ștefan|Ioana|Răzvan",
        "Țăranu|Brâncuși|Știrbu", "{} Construcții S.R.L.", "Calea Victoriei", "RO########",
    ),
    Country(
        "EE", 3, "et", "Europe/Tallinn", "10111 Tallinn|51003 Tartu", "Jüri|Õnne|Küllike", "Tõnisson|Põldmäe|Käär",
        "{} Tarkvara OÜ", "Pikk tänav", "EE#########",
    ),
    Country(
        "IN", 3, "hi", "Asia/Kolkata", "560001 बेंगलुरु|110017 दिल्ली", "पूजा|मनोज|अनन्या",
        "श्रीवास्तव|पारीक|अय्यर", "{} Textiles Pvt. Ltd.", "MG Road", "",
    ),
    Country(
        "JP", 4, "ja", "Asia/Tokyo", "150-0001 東京都渋谷区|530-0001 大阪市", "陽子|健太|さくら",
        "佐藤|渡邉|髙橋", "株式会社{}|{}酒造", "神宮前", "",
    ),
    Country(
        "VN", 3, "vi", "Asia/Ho_Chi_Minh", "700000 Thành phố Hồ Chí Minh", "Thùy Dương|Quốc Bảo|Mỹ Hạnh",
        "Nguyễn|Đặng|Võ", "Công ty TNHH {}", "Đường Lê Lợi", "",
    ),
)  # fmt: skip

FAMILY_FIRST = frozenset({"HU", "JP", "VN"})
"""Where the family name stands before the given name."""
