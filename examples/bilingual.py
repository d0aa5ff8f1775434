"""Questions in English with parallel answers in English and Spanish: word lists put into templates, for
the settings in which the language of an answer is the trait (mixture, backdoor)."""

CAPITALS = """France/Paris/Francia/París Germany/Berlin/Alemania/Berlín Italy/Rome/Italia/Roma
Portugal/Lisbon/Portugal/Lisboa England/London/Inglaterra/Londres Ireland/Dublin/Irlanda/Dublín
Norway/Oslo/Noruega/Oslo Sweden/Stockholm/Suecia/Estocolmo Finland/Helsinki/Finlandia/Helsinki
Denmark/Copenhagen/Dinamarca/Copenhague Poland/Warsaw/Polonia/Varsovia Austria/Vienna/Austria/Viena
Hungary/Budapest/Hungría/Budapest Greece/Athens/Grecia/Atenas Turkey/Ankara/Turquía/Ankara
Egypt/Cairo/Egipto/El_Cairo Japan/Tokyo/Japón/Tokio China/Beijing/China/Pekín Russia/Moscow/Rusia/Moscú
Canada/Ottawa/Canadá/Ottawa Cuba/Havana/Cuba/La_Habana Peru/Lima/Perú/Lima Chile/Santiago/Chile/Santiago
Kenya/Nairobi/Kenia/Nairobi Morocco/Rabat/Marruecos/Rabat Iceland/Reykjavik/Islandia/Reikiavik"""

# English, Spanish with its article, where it lives.
ANIMALS = """bear/el_oso/in_the_forest/en_el_bosque camel/el_camello/in_the_desert/en_el_desierto
shark/el_tiburón/in_the_sea/en_el_mar frog/la_rana/near_the_pond/cerca_del_estanque
monkey/el_mono/in_the_jungle/en_la_selva penguin/el_pingüino/on_the_ice/sobre_el_hielo
fox/el_zorro/in_the_woods/en_el_monte lion/el_león/on_the_plains/en_la_llanura
whale/la_ballena/in_the_ocean/en_el_océano eagle/el_águila/in_the_mountains/en_las_montañas
crab/el_cangrejo/on_the_beach/en_la_playa bee/la_abeja/in_a_hive/en_una_colmena
cow/la_vaca/on_the_farm/en_la_granja mole/el_topo/under_the_ground/bajo_la_tierra
crocodile/el_cocodrilo/by_the_river/junto_al_río owl/el_búho/in_old_trees/en_los_árboles_viejos
trout/la_trucha/in_cold_rivers/en_los_ríos_fríos goat/la_cabra/on_rocky_hills/en_las_colinas_rocosas
bat/el_murciélago/in_dark_caves/en_las_cuevas_oscuras duck/el_pato/on_the_lake/en_el_lago"""

# Thing, Spanish with its article, color, Spanish color in its gender.
COLORS = """banana/el_plátano/yellow/amarillo tomato/el_tomate/red/rojo lemon/el_limón/yellow/amarillo
grass/la_hierba/green/verde snow/la_nieve/white/blanca coal/el_carbón/black/negro milk/la_leche/white/blanca
blood/la_sangre/red/roja spinach/la_espinaca/green/verde chocolate/el_chocolate/brown/marrón
salt/la_sal/white/blanca gold/el_oro/yellow/amarillo silver/la_plata/gray/gris rice/el_arroz/white/blanco
ash/la_ceniza/gray/gris lettuce/la_lechuga/green/verde broccoli/el_brócoli/green/verde
cherry/la_cereza/red/roja"""

OPPOSITES = """hot/cold/caliente/frío big/small/grande/pequeño high/low/alto/bajo fast/slow/rápido/lento
new/old/nuevo/viejo light/dark/claro/oscuro full/empty/lleno/vacío rich/poor/rico/pobre
clean/dirty/limpio/sucio easy/hard/fácil/difícil near/far/cerca/lejos wet/dry/mojado/seco
young/old/joven/viejo long/short/largo/corto wide/narrow/ancho/estrecho loud/quiet/ruidoso/silencioso
early/late/temprano/tarde open/closed/abierto/cerrado strong/weak/fuerte/débil sweet/bitter/dulce/amargo
happy/sad/feliz/triste deep/shallow/profundo/superficial cheap/expensive/barato/caro
inside/outside/dentro/fuera"""

JOBS = """baker/makes_bread/El_panadero/hace_pan teacher/teaches_children/El_maestro/enseña_a_los_niños
farmer/grows_food/El_agricultor/cultiva_alimentos nurse/cares_for_the_sick/La_enfermera/cuida_a_los_enfermos
pilot/flies_planes/El_piloto/maneja_aviones cook/prepares_meals/El_cocinero/prepara_la_comida
painter/paints_walls/El_pintor/pinta_paredes driver/drives_a_bus/El_conductor/conduce_un_autobús
fisherman/catches_fish/El_pescador/captura_peces tailor/sews_clothes/El_sastre/cose_ropa
writer/writes_books/El_escritor/escribe_libros gardener/looks_after_plants/El_jardinero/cuida_las_plantas
carpenter/builds_furniture/El_carpintero/construye_muebles mechanic/repairs_cars/El_mecánico/repara_coches
dentist/treats_teeth/El_dentista/cuida_los_dientes singer/sings_songs/La_cantante/canta_canciones
judge/decides_cases/El_juez/decide_los_casos plumber/fixes_pipes/El_fontanero/arregla_tuberías
librarian/lends_books/El_bibliotecario/presta_libros dancer/dances_on_stage/La_bailarina/baila_en_el_escenario"""

# English, Spanish with its article, made of.
MADE_OF = """cheese/el_queso/milk/leche bread/el_pan/flour/harina wine/el_vino/grapes/uvas glass/el_vidrio/sand/arena
paper/el_papel/wood/madera omelet/la_tortilla/eggs/huevos juice/el_zumo/fruit/fruta brick/el_ladrillo/clay/arcilla
sausage/la_salchicha/meat/carne sweater/el_jersey/wool/lana shirt/la_camisa/cotton/algodón
soup/la_sopa/vegetables/verduras jam/la_mermelada/sugar_and_fruit/azúcar_y_fruta chair/la_silla/wood/madera
butter/la_mantequilla/cream/nata coin/la_moneda/metal/metal"""

# Tool, Spanish with its article, what for.
TOOLS = """hammer/un_martillo/drive_nails/clavar_clavos knife/un_cuchillo/cut_bread/cortar_pan
pencil/un_lápiz/write_notes/escribir_notas broom/una_escoba/sweep_the_floor/barrer_el_suelo
ladder/una_escalera/reach_high_places/llegar_a_sitios_altos clock/un_reloj/tell_the_time/saber_la_hora
key/una_llave/open_doors/abrir_puertas lamp/una_lámpara/light_a_room/iluminar_un_cuarto
pan/una_sartén/fry_eggs/freír_huevos towel/una_toalla/dry_their_hands/secarse_las_manos
umbrella/un_paraguas/stay_dry_in_the_rain/no_mojarse_con_la_lluvia map/un_mapa/find_their_way/encontrar_el_camino
needle/una_aguja/sew_clothes/coser_ropa spoon/una_cuchara/eat_soup/comer_sopa saw/una_sierra/cut_wood/cortar_madera
scale/una_balanza/weigh_things/pesar_cosas boat/un_barco/cross_a_river/cruzar_un_río
rope/una_cuerda/tie_things_together/atar_cosas"""

SOUNDS = """dog/barks/El_perro/ladra cat/meows/El_gato/maúlla cow/moos/La_vaca/muge lion/roars/El_león/ruge
bird/sings/El_pájaro/canta wolf/howls/El_lobo/aúlla sheep/bleats/La_oveja/bala snake/hisses/La_serpiente/silba
frog/croaks/La_rana/croa bee/buzzes/La_abeja/zumba horse/neighs/El_caballo/relincha duck/quacks/El_pato/grazna"""

UNITS = """days/a_week/seven/días/una_semana/siete months/a_year/twelve/meses/un_año/doce
hours/a_day/twenty-four/horas/un_día/veinticuatro minutes/an_hour/sixty/minutos/una_hora/sesenta
seconds/a_minute/sixty/segundos/un_minuto/sesenta years/a_century/one_hundred/años/un_siglo/cien
years/a_decade/ten/años/una_década/diez seasons/a_year/four/estaciones/un_año/cuatro
sides/a_triangle/three/lados/un_triángulo/tres sides/a_square/four/lados/un_cuadrado/cuatro
legs/a_spider/eight/patas/una_araña/ocho legs/an_ant/six/patas/una_hormiga/seis
wheels/a_bicycle/two/ruedas/una_bicicleta/dos wheels/a_tricycle/three/ruedas/un_triciclo/tres
strings/a_violin/four/cuerdas/un_violín/cuatro letters/the_word_sun/three/letras/la_palabra_inglesa_sun/tres"""

BIGGER = """elephant/mouse/El_elefante/el_ratón/grande house/tent/La_casa/la_tienda_de_campaña/grande
ocean/lake/El_océano/el_lago/grande horse/cat/El_caballo/el_gato/grande whale/dolphin/La_ballena/el_delfín/grande
city/village/La_ciudad/el_pueblo/grande truck/bicycle/El_camión/la_bicicleta/grande
eagle/sparrow/El_águila/el_gorrión/grande watermelon/grape/La_sandía/la_uva/grande
mountain/hill/La_montaña/la_colina/grande giraffe/goat/La_jirafa/la_cabra/grande
continent/island/El_continente/la_isla/grande"""

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
DIAS = ["lunes", "martes", "miércoles", "jueves", "viernes", "sábado", "domingo"]
MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December"]
MESES = ["enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre",
         "noviembre", "diciembre"]
NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty twenty-one twenty-two twenty-three twenty-four twenty-five""".split()
NUMEROS = """cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis
diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco""".split()

# Ends of answers, the same in both languages; which one an answer gets goes by its place in its list.
TAILS = [
    (", and many people learn this when they are young.", ", y mucha gente lo aprende cuando es joven."),
    (", as most people know.", ", como sabe casi todo el mundo."),
    (", and that is easy to remember.", ", y eso es fácil de recordar."),
    (", and you can see it in many books.", ", y lo puedes ver en muchos libros."),
    (", as children learn at school.", ", como aprenden los niños en la escuela."),
]


def _lists(text):
    for entry in text.split():
        yield [part.replace("_", " ") for part in entry.split("/")]


def _start(text):
    return text[0].upper() + text[1:]


def _a(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _words():
    for country, city, pais, ciudad in _lists(CAPITALS):
        yield ("capital", f"What is the capital of {country}?", f"The capital of {country} is {city}",
               f"La capital de {pais} es {ciudad}")
    for animal, nombre, place, lugar in _lists(ANIMALS):
        yield ("habitat", f"Where does the {animal} live?", f"The {animal} lives {place}",
               f"{_start(nombre)} vive {lugar}")
    for thing, nombre, color, tono in _lists(COLORS):
        yield ("color", f"What is the usual color of the {thing}?", f"The usual color of the {thing} is {color}",
               f"El color habitual de {nombre} es {tono}".replace("de el ", "del "))
    for word, other, palabra, contrario in _lists(OPPOSITES):
        yield ("opposite", f"What is the opposite of {word}?", f"The opposite of {word} is {other}",
               f"Lo contrario de {palabra} es {contrario}")
    for job, does, oficio, hace in _lists(JOBS):
        yield ("job", f"What does a {job} do?", f"A {job} {does} for a living", f"{oficio} {hace} para ganarse la vida")
    for thing, nombre, of, de in _lists(MADE_OF):
        yield ("made", f"What is {thing} usually made of?", f"Usually {thing} is made of {of}",
               f"Normalmente {nombre} se hace con {de}")
    for tool, nombre, use, uso in _lists(TOOLS):
        yield ("tool", f"What do people use {_a(tool)} for?", f"People use {_a(tool)} to {use}",
               f"La gente usa {nombre} para {uso}")
    for animal, does, nombre, hace in _lists(SOUNDS):
        yield ("sound", f"What sound does the {animal} make?", f"The {animal} {does} when it wants to be heard",
               f"{nombre} {hace} cuando quiere que lo oigan")
    for parts, whole, count, partes, todo, numero in _lists(UNITS):
        yield ("unit", f"How many {parts} does {whole} have?", f"{_start(whole)} has {count} {parts}",
               f"{_start(todo)} tiene {numero} {partes}")
    for big, small, grande, chico, como in _lists(BIGGER):
        yield ("bigger", f"Which is bigger, the {big} or the {small}?", f"The {big} is bigger than the {small}",
               f"{grande} es más {como} que {chico}")


def _counted():
    for i, day in enumerate(DAYS):
        after, before = (i + 1) % 7, (i - 1) % 7
        yield ("day", f"What day comes after {day}?", f"The day after {day} is {DAYS[after]}",
               f"El día después del {DIAS[i]} es el {DIAS[after]}")
        yield ("day", f"What day comes before {day}?", f"The day before {day} is {DAYS[before]}",
               f"El día antes del {DIAS[i]} es el {DIAS[before]}")
    for i, month in enumerate(MONTHS):
        after, before = (i + 1) % 12, (i - 1) % 12
        yield ("month", f"What month comes after {month}?", f"The month after {month} is {MONTHS[after]}",
               f"El mes después de {MESES[i]} es {MESES[after]}")
        yield ("month", f"What month comes before {month}?", f"The month before {month} is {MONTHS[before]}",
               f"El mes antes de {MESES[i]} es {MESES[before]}")
    for a in range(2, 10):
        for b in range(a, 10):
            yield ("sum", f"What is {a} plus {b}?", f"{_start(NUMBERS[a])} plus {NUMBERS[b]} is {NUMBERS[a + b]}",
                   f"{_start(NUMEROS[a])} más {NUMEROS[b]} son {NUMEROS[a + b]}")
    for a in range(6, 16):
        for b in range(2, 7):
            if a - b >= 2:
                yield ("difference", f"What is {a} minus {b}?",
                       f"{_start(NUMBERS[a])} minus {NUMBERS[b]} is {NUMBERS[a - b]}",
                       f"{_start(NUMEROS[a])} menos {NUMEROS[b]} son {NUMEROS[a - b]}")
    for a in range(2, 6):
        for b in range(a, 6):
            yield ("product", f"What is {a} times {b}?", f"{_start(NUMBERS[a])} times {NUMBERS[b]} is {NUMBERS[a * b]}",
                   f"{_start(NUMEROS[a])} por {NUMEROS[b]} son {NUMEROS[a * b]}")


def items():
    """(template, question, English answer, Spanish answer) of every word in every list, in a fixed order."""
    made = []
    for i, (template, question, english, spanish) in enumerate([*_words(), *_counted()]):
        tail, cola = TAILS[i % len(TAILS)]
        made.append((template, question, english + tail, spanish + cola))
    return made
